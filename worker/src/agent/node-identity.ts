import { randomBytes } from 'node:crypto';
import type { MintId, NodeId } from '@manta/runtime/ids';

/** Who this node is to the head: the session changes with each start, both when the head has declared it dead. */
export interface NodeIdentity {
  nodeId: NodeId;
  sessionId: string;
}

export function newIdentity(mintId: MintId, nodeId: NodeId = mintId('node')): NodeIdentity {
  return { nodeId, sessionId: randomBytes(12).toString('hex') };
}
