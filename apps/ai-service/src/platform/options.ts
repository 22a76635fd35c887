import { parseArgs } from 'node:util';
import { InvalidArgumentError } from '@manta/sdk';
import type { HttpTls } from '../gateway/http/http-tls.ts';

export interface CommandLine {
  host: string;
  port: number;
  dataFolder: string;
  nodes: number;
  replicas: number;
  tls: HttpTls | undefined;
  help: boolean;
}

export const HELP = `Starts a Manta cluster on this machine and the AI service on it.

Usage: npm start -- [options]

  --port PORT   Port for HTTP and WebSocket; 0 takes a free one. Default 8080.
  --host HOST   Address to listen on. Default 127.0.0.1: this machine only.
  --data DIR    Folder for the API key, made if missing. Default ./data.
  --nodes N     Worker nodes, 1 to 16. Default 1.
  --replicas N  Of each model, 1 to 16, on any of the nodes. Default 1.
  --tls-cert FILE, --tls-key FILE
                Certificate and private key, in PEM: serves HTTPS and wss:// alone.
  --help        This text.

Environment
  MANTA_LOG_LEVEL     trace, debug, info, warn (default), error
  MANTA_UWEBSOCKETS   Where uWebSockets.js is installed, to serve HTTP with it (scripts/install-uwebsockets.sh);
                      'off': node:http in any case
`;

/** @throws InvalidArgumentError that names the option. */
export function readCommandLine(args: string[]): CommandLine {
  const { values } = parse(args);
  return {
    host: values.host,
    port: readInteger('port', values.port, 0, 65_535),
    dataFolder: values.data,
    nodes: readInteger('nodes', values.nodes, 1, 16),
    replicas: readInteger('replicas', values.replicas, 1, 16),
    tls: readTlsFiles(values['tls-cert'], values['tls-key']),
    help: values.help,
  };
}

function readTlsFiles(
  certificateFile: string | undefined,
  keyFile: string | undefined,
): HttpTls | undefined {
  if (certificateFile !== undefined && keyFile !== undefined) return { certificateFile, keyFile };
  if (certificateFile === undefined && keyFile === undefined) return undefined;
  throw new InvalidArgumentError('--tls-cert and --tls-key go together: give both');
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        host: { type: 'string', default: '127.0.0.1' },
        port: { type: 'string', default: '8080' },
        data: { type: 'string', default: './data' },
        nodes: { type: 'string', default: '1' },
        replicas: { type: 'string', default: '1' },
        'tls-cert': { type: 'string' },
        'tls-key': { type: 'string' },
        help: { type: 'boolean', default: false, short: 'h' },
      },
    });
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message, { cause: error });
  }
}

function readInteger(name: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new InvalidArgumentError(
    `--${name} must be a whole number from ${min} to ${max}, not '${text}'`,
  );
}
