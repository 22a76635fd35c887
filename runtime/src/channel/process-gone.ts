import { ClusterUnavailableError } from '../errors/errors.ts';

/**
 * The process is not there any more, as far as can be told from here: the machine it was on has refused the connection,
 * or its socket is gone, and it is on no other way either. A process that is only busy refuses nothing.
 */
export class ProcessGoneError extends ClusterUnavailableError {}
