import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';
import { InvalidArgumentError } from '../errors/errors.ts';
import { readableLine } from './readable-line.ts';

export type Logger = PinoLogger;

export interface LoggerOptions {
  /** Which part of the system writes: 'head', 'agent', 'gateway'. */
  name: string;
  /** Default: the environment's MANTA_LOG_LEVEL, else 'info'. */
  level?: string;
  /** Default: standard error, because standard output belongs to programs. Gets one JSON line per write. */
  destination?: DestinationStream;
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

const SECRETS = ['token', 'authorization', 'apiKey', 'password'];
/** Secrets are hidden in the fields of a line and two levels below. */
const REDACTED = SECRETS.flatMap((secret) => [secret, `*.${secret}`, `*.*.${secret}`]);

/**
 * A structured logger: JSON lines, or readable lines where a person reads along (a terminal). It writes at once, so
 * that nothing is lost when the process ends; log objects first: `logger.info({ actorId }, 'actor started')`.
 * @throws InvalidArgumentError for an unknown level.
 */
export function createLogger(options: LoggerOptions): Logger {
  const level = options.level ?? process.env['MANTA_LOG_LEVEL'] ?? 'info';
  if (!LEVELS.includes(level)) {
    throw new InvalidArgumentError(
      `log level '${level}' is unknown: use one of ${LEVELS.join(', ')}`,
    );
  }
  return pino(
    {
      name: options.name,
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED, censor: '[redacted]' },
    },
    options.destination ?? standardError(),
  );
}

function standardError(): DestinationStream {
  if (!process.stderr.isTTY) return pino.destination({ dest: 2, sync: true });
  return { write: (line) => void process.stderr.write(readableLine(line)) };
}
