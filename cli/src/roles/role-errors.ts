import {
  AuthenticationError,
  ClusterUnavailableError,
  InvalidArgumentError,
  MantaError,
} from '@manta/runtime/errors/errors';

const CLASSES = { AuthenticationError, ClusterUnavailableError, InvalidArgumentError } as const;

/** The error of a role or of a head, by the name it crossed the process boundary with. */
export function errorOfName(name: string, message: string): MantaError {
  const known = Object.hasOwn(CLASSES, name) ? CLASSES[name as keyof typeof CLASSES] : MantaError;
  return new known(message);
}
