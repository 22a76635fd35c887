/**
 * Messages between `manta start` and the process of a role, over Node's IPC channel: the configuration holds the token,
 * which must not stand in an argument list where every user of the machine can read it.
 */
export interface HeadRole {
  role: 'head';
  host: string;
  port: number;
  token: string;
  stateDirectory: string;
  natsUrl?: string;
  /** In PEM. */
  tls?: { cert: string; key: string };
  metricsPort?: number;
}
export interface NodeRole {
  role: 'node';
  natsUrl: string;
  token: string;
  directory: string;
  name?: string;
  cpus?: number;
  gpus?: number;
  memoryBytes?: number;
  objectStoreBytes?: number;
  spillDirectories?: string[];
  spillFreeBytesMin?: number;
  resources?: Record<string, number>;
  labels?: Record<string, string>;
  tcpHost?: string;
}
export interface RoleConfiguration {
  settings: HeadRole | NodeRole;
  /** In the foreground a role ends with the command that started it. */
  endWithParent: boolean;
  /** Names the authority of a `tls://` bus to the role and to all that it starts. */
  tlsCaFile?: string;
}
export type RoleAnswer =
  | { type: 'ready'; role: 'head'; clusterId: string; url: string; metricsUrl?: string }
  | { type: 'ready'; role: 'node'; nodeId: string }
  | { type: 'failed'; name: string; message: string };
