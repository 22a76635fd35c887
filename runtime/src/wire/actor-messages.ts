import * as v from 'valibot';
import { ActorDescription, ActorLife, ActorSpec, DeathCauseSchema } from './messages.ts';
import { errorBytes, id, name } from './schema-parts.ts';

// What processes ask the head about actors, and its replies.

export const ActorCreate = v.object({ specs: v.array(ActorSpec) });
/**
 * One entry per spec, in order. `existing` with getIfExists. Answered after the state is written, but for leases, of
 * which nothing is: when a head has started, the holder asks by `actor.hold`, and sends `actor.create` with the same
 * spec again for those that are not known; that is right however far a lease had come. The head places them only when
 * all nodes have reported, so a lease that lives is found, never started twice.
 */
export const ActorCreateReply = v.object({
  results: v.array(
    v.object({
      error: v.optional(v.object({ name: v.string(), message: v.string() })),
      existing: v.optional(ActorDescription),
    }),
  ),
});
/**
 * What an actor that was registered with `awaitsArguments` waits for: its whole specification, or that it cannot be made,
 * which ends it. Of an actor that does not wait, or no more, it says nothing.
 */
export const ActorArguments = v.object({
  actorId: id('actor'),
  spec: v.optional(ActorSpec),
  failure: v.optional(v.object({ cause: DeathCauseSchema, encodedError: v.optional(errorBytes) })),
});
export type ActorArguments = v.InferOutput<typeof ActorArguments>;
/**
 * A process now holds handles of these actors and wants their updates. Answers what is known of each. Those of `again`
 * are to make lost results again: what went out of scope is started again for it, when it has restarts left. Those of
 * `lived` the process has spoken to in that life, by the word of their own process: such a life counts also where its
 * node died before it could report it.
 */
export const ActorHold = v.object({
  processId: id('process'),
  actorIds: v.array(id('actor')),
  again: v.optional(v.array(id('actor'))),
  lived: v.optional(v.array(ActorLife)),
});
export const ActorHoldReply = v.object({
  actors: v.array(v.optional(ActorDescription)),
});
export const ActorRelease = v.object({ processId: id('process'), actorIds: v.array(id('actor')) });
export const ActorLookup = v.object({ processId: id('process'), namespace: name, name });
export const ActorLookupReply = v.object({ actor: v.optional(ActorDescription) });
export const ActorKill = v.object({
  actorId: id('actor'),
  restart: v.optional(v.boolean()),
  /**
   * Of a lease: it is given back, no call of it runs or will be sent. No update follows, and the id is forgotten: a
   * repeat is answered with ActorNotFoundError, which means done. Of a lease that waits: the request is withdrawn.
   */
  returned: v.optional(v.boolean()),
});
export const ActorStop = v.object({ actorId: id('actor') });
export const ActorExplain = v.object({ actorId: v.string() });
export const Explanation = v.object({
  state: v.string(),
  /** Milliseconds since the epoch. */
  since: v.number(),
  reason: v.string(),
  perNode: v.optional(v.record(v.string(), v.string())),
});
export type Explanation = v.InferOutput<typeof Explanation>;
