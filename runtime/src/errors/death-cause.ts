/** Why an actor, its process or its node ended. Structured first; `message` is the one text people see. */
export interface DeathCause {
  kind: DeathKind | (string & {});
  message: string;
  exitCode?: number;
  signal?: string;
  nodeId?: string;
}

export type DeathKind =
  /** The constructor or the loading of its module threw, or its arguments are lost: never restarted. */
  | 'constructor-failed'
  /** The host process ended by itself or by a signal. */
  | 'process-died'
  | 'out-of-memory'
  | 'node-died'
  /** kill(). */
  | 'killed'
  /** stop(). */
  | 'stopped'
  /** exitActor(). */
  | 'exited'
  /** The last handle was dropped. */
  | 'out-of-scope'
  /** The driver or actor that created it is gone. */
  | 'owner-died'
  /** A task worker that was given back. */
  | 'returned'
  /** No node can or could place it. */
  | 'unschedulable'
  | 'runtime-env-failed';
