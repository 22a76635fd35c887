import { ClusterUnavailableError } from '../errors/errors.ts';

/** No process listens on the subject of a request: none has got it, and none will. */
export class NobodyListensError extends ClusterUnavailableError {
  constructor(subject: string) {
    super(`Nobody listens on '${subject}'.`);
  }
}
