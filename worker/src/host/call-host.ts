import type { ChannelRecord } from '@manta/runtime/channel/channel';
import type { ActorSpec } from '@manta/runtime/wire/messages';
import type { IncomingCall } from './incoming-call.ts';

/** What takes the calls of a port: one life of an actor, or a task worker. */
export interface CallHost {
  readonly spec: ActorSpec;
  readonly incarnation: number;
  /** Lives that the actor has had before. */
  readonly restarts: number;
  readonly gpuIds: string[];
  /** undefined: there is no such method. */
  methodName(number: number): string | undefined;
  groupOf(methodName: string, requested: string | null | undefined): string;
  receive(call: IncomingCall): void;
  exitActor(): never;
  /** Task workers: what a method number means. */
  defineFunction?(record: ChannelRecord): void;
  /** Task workers: the call was cancelled before it started. */
  skipped?(call: IncomingCall): void;
}
