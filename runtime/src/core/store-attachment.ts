import { ProtocolError } from '../errors/errors.ts';
import { parseId, type NodeId } from '../ids.ts';
import { addressFrom, addressRecord, type AddressRecord } from '../rpc/address-record.ts';
import type { ProcessAddress } from '../wire/messages.ts';

/** Where a node's store is. */
export interface StorePlace {
  /** See shared-memory/shared-store.ts. */
  readonly directory: string;
}

/** What a process needs to know of its node's store: the agent's answer to `storeAttach`, as an AttachmentRecord. */
export interface StoreAttachment extends StorePlace {
  readonly nodeId: NodeId;
  readonly limitBytes: number;
  /** The agent as others reach it; with `nodeId`. */
  readonly agent: ProcessAddress;
}

export type AttachmentRecord = [
  directory: string,
  nodeId: string,
  limitBytes: number,
  agent: AddressRecord,
];

export function attachmentRecord(attachment: StoreAttachment): AttachmentRecord {
  const { directory, nodeId, limitBytes, agent } = attachment;
  return [directory, nodeId, limitBytes, addressRecord(agent)];
}

/** @throws ProtocolError */
export function attachmentFrom(value: unknown): StoreAttachment {
  const [directory, node, limitBytes, agent] = Array.isArray(value) ? (value as unknown[]) : [];
  const nodeId = parseId('node', node);
  if (typeof directory !== 'string' || nodeId === undefined || typeof limitBytes !== 'number')
    throw new ProtocolError('A malformed answer to storeAttach.');
  return { directory, nodeId, limitBytes, agent: { ...addressFrom(agent), nodeId } };
}
