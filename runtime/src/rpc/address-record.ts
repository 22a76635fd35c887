import { ProtocolError } from '../errors/errors.ts';
import { parseId } from '../ids.ts';
import { LIMITS } from '../wire/limits.ts';
import type { ProcessAddress } from '../wire/messages.ts';

/** A ProcessAddress inside a record, which holds lists only. */
export type AddressRecord = [
  processId: string,
  nodeId: string | null,
  machineId: string,
  socketPath: string | null,
  tcpHost: string | null,
  tcpPort: number | null,
];

export function addressRecord(address: ProcessAddress): AddressRecord {
  const { processId, nodeId, machineId, socketPath, tcp } = address;
  return [
    processId,
    nodeId ?? null,
    machineId,
    socketPath ?? null,
    tcp?.host ?? null,
    tcp?.port ?? null,
  ];
}

/** @throws ProtocolError */
export function addressFrom(value: unknown): ProcessAddress {
  if (!Array.isArray(value) || value.length !== 6) throw malformed();
  const [process, node, machineId, socketPath, host, port] = value as unknown[];
  const processId = parseId('process', process);
  const nodeId = node === null ? undefined : parseId('node', node);
  if (
    processId === undefined ||
    (node !== null && nodeId === undefined) ||
    !isText(machineId) ||
    !(socketPath === null || isText(socketPath)) ||
    !(host === null || isText(host)) ||
    !(host === null || isPort(port))
  )
    throw malformed();
  return {
    processId,
    nodeId,
    machineId,
    socketPath: socketPath ?? undefined,
    tcp: host === null ? undefined : { host, port: port as number },
  };
}

const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= LIMITS.nameLength;
const isPort = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) > 0 && (value as number) < 65_536;
const malformed = (): ProtocolError => new ProtocolError('A malformed process address.');
