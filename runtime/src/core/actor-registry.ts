import type * as v from 'valibot';
import type { MantaError } from '../errors/errors.ts';
import type { ActorId, ProcessId } from '../ids.ts';
import { ActorCaller } from '../rpc/actor-caller.ts';
import { callerSettings, type CallerCore, type CallerSettings } from '../rpc/caller-core.ts';
import { registered } from '../rpc/caller-questions.ts';
import type { Transferable } from '../serialization/transferable.ts';
import type { Clock } from '../time/clock.ts';
import { ActorCreateReply, ActorHoldReply, type ActorArguments } from '../wire/actor-messages.ts';
import {
  Acknowledgement,
  type ActorDescription,
  type ActorSpec,
  type ActorUpdate,
  type ProcessAddress,
} from '../wire/messages.ts';
import { messageBytes } from '../wire/message-size.ts';
import { ConstructorPins } from './constructor-pins.ts';
import type { HeadClient } from './head-client.ts';
import { UntoldLives } from './untold-lives.ts';

interface RegistryCore extends CallerCore {
  errorFromReply(error: { name: string; message: string }): MantaError;
  unknownActor(actorId: ActorId, className: string): MantaError;
  warn(message: string, error: unknown): void;
  hasHandles(caller: ActorCaller): boolean;
  readonly processId: ProcessId;
  readonly objects: { knowPeer(address: ProcessAddress): void };
  head(): Promise<HeadClient>;
}

/** Specs in one request; their sizes count too. */
const SPECS_PER_REQUEST = 500;
/** A description in the reply takes about 1 KiB; a message may have 8 MiB. */
const IDS_PER_REQUEST = 2_000;
const SPEC_BYTES_PER_REQUEST = 2 * 1024 * 1024;
/** Dropped handles are given back in batches; a process that takes over a handle speaks up long before. */
const RELEASE_DELAY_MS = 1_000;
const UNKNOWN_ACTOR_GRACE_MS = 10_000;
const UNKNOWN_ACTOR_RETRY_MS = 100;

/**
 * The actors this process holds handles of: creates them, keeps their callers informed, and tells the head when the
 * last handle of one is gone and its calls are done.
 */
export class ActorRegistry {
  readonly #core: RegistryCore;
  readonly #clock: Clock;
  /** Usually one; two when getIfExists led to an actor that was known here already. */
  readonly #callers = new Map<ActorId, ActorCaller[]>();
  #creations: { spec: ActorSpec; caller: ActorCaller }[] = [];
  readonly #underWay = new Set<Promise<void>>();
  readonly #constructorPins: ConstructorPins;
  #holds = new Set<ActorId>();
  /** Of these, those that are to make lost results again. */
  readonly #again = new Set<ActorId>();
  readonly #lived = new UntoldLives();
  #isAsking = false;
  #releases = new Set<ActorId>();
  /** Leases that are wanted: a head that does not know one (it keeps none over a restart) is asked again for it. */
  readonly leases: Map<ActorId, ActorSpec> = new Map();

  constructor(core: RegistryCore) {
    this.#core = core;
    this.#clock = core.clock;
    this.#constructorPins = new ConstructorPins(core);
  }

  /** The caller of a new actor, which takes calls at once; `submitCreation` follows. */
  create(spec: ActorSpec): ActorCaller {
    return this.#add(settingsOf(spec));
  }

  /**
   * Registers the actor at the head; a refusal fails the caller's calls. All creations of one turn go as one request.
   * @param pins refs and handles among the constructor's arguments: held as long as it may run.
   */
  submitCreation(spec: ActorSpec, caller: ActorCaller, pins: readonly Transferable[] = []): void {
    caller.creating = true;
    this.#creations.push({ spec: this.#constructorPins.keep(spec, pins), caller });
    if (this.#creations.length === 1) process.nextTick(() => this.#sendCreations());
  }

  /** Registers an actor whose constructor waits for refs: all who have its handle find it. `sendArguments` follows. */
  submitWithoutArguments(spec: ActorSpec, caller: ActorCaller, args: readonly unknown[]): void {
    caller.awaitedArguments = args;
    this.submitCreation({ ...spec, awaitsArguments: true }, caller);
  }

  /** They are there, or cannot be had. Resolves when the head knows. @param pins as in `submitCreation`. */
  sendArguments(
    { spec, ...message }: ActorArguments,
    caller: ActorCaller,
    pins: readonly Transferable[] = [],
  ): Promise<void> {
    const kept = spec && this.#constructorPins.keep(spec, pins);
    return this.#track(this.#sendArgumentsNow({ ...message, spec: kept }, caller));
  }

  async #sendArgumentsNow(message: ActorArguments, caller: ActorCaller): Promise<void> {
    this.#core.callStarted();
    try {
      await registered(caller);
      // getIfExists may have found another actor, which was made with its own.
      if (caller.actorId !== message.actorId) {
        this.#constructorPins.release(message.actorId);
        return;
      }
      const head = await this.#core.head();
      await head.request('actor.arguments', message, Acknowledgement);
      // Of an actor that was killed meanwhile there is no further news.
      if (caller.deathError !== undefined) this.#constructorPins.release(message.actorId);
    } catch (error) {
      this.#failCreation(caller, error as MantaError);
    } finally {
      caller.awaitedArguments = undefined;
      this.#core.callFinished();
    }
  }

  #sendCreations(): void {
    const all = this.#creations;
    this.#creations = [];
    let batch: typeof all = [];
    let bytes = 0;
    for (const creation of all) {
      batch.push(creation);
      bytes += messageBytes(creation.spec);
      if (batch.length >= SPECS_PER_REQUEST || bytes >= SPEC_BYTES_PER_REQUEST) {
        void this.#track(this.#requestCreations(batch));
        batch = [];
        bytes = 0;
      }
    }
    if (batch.length > 0) void this.#track(this.#requestCreations(batch));
  }

  #track(work: Promise<void>): Promise<void> {
    const tracked = work.finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
    return tracked;
  }

  /** Resolves when the head has answered every request to create an actor that was made so far. */
  async creationsAnswered(): Promise<void> {
    if (this.#creations.length > 0) this.#sendCreations();
    await Promise.all(this.#underWay);
  }

  async #requestCreations(batch: { spec: ActorSpec; caller: ActorCaller }[]): Promise<void> {
    this.#core.callStarted();
    try {
      const head = await this.#core.head();
      const reply = await head.request(
        'actor.create',
        { specs: batch.map(({ spec }) => spec) },
        ActorCreateReply,
      );
      reply.results.forEach((result, index) => this.#created(batch[index]?.caller, result));
    } catch (error) {
      for (const { caller } of batch) this.#failCreation(caller, error as MantaError);
    } finally {
      this.#core.callFinished();
      for (const { caller } of batch) {
        caller.created();
        if (caller.unfinishedCalls === 0) caller.onIdle?.();
      }
    }
  }

  #created(
    caller: ActorCaller | undefined,
    result: v.InferOutput<typeof ActorCreateReply>['results'][number],
  ): void {
    if (caller === undefined) return;
    if (result.error !== undefined) {
      this.#failCreation(caller, this.#core.errorFromReply(result.error));
    } else if (result.existing !== undefined) {
      this.#adopt(caller, result.existing);
    }
  }

  #failCreation(caller: ActorCaller, error: MantaError): void {
    this.#constructorPins.release(caller.actorId);
    caller.failCreation(error);
  }

  /** getIfExists found another actor under the name, here or where the handle was made: it speaks to that one from now on. */
  #adopt(caller: ActorCaller, existing: ActorDescription): void {
    if (existing.actorId !== caller.actorId) {
      this.#constructorPins.release(caller.actorId);
      this.#remove(caller);
      caller.awaitedArguments = undefined;
      caller.settings = { ...settingsOf(existing), className: caller.className };
      this.#insert(caller);
    }
    this.#applyDescription(caller, existing);
  }

  /**
   * The description may be older than an update that came before it, when this process did not know the actor yet:
   * what still waits is asked for again.
   */
  #applyDescription(caller: ActorCaller, { update }: ActorDescription): void {
    this.#constructorPins.apply(update);
    caller.apply(update);
    if (update.state !== 'alive' && update.state !== 'dead') this.refresh(caller.actorId);
  }

  /** A caller for a handle that came from elsewhere; the head is told that this process holds it now. */
  hold(settings: CallerSettings): ActorCaller {
    const known = this.#callers.get(settings.actorId)?.[0];
    if (known !== undefined) return known;
    const caller = this.#add(settings);
    this.refresh(settings.actorId);
    return caller;
  }

  /** Its calls are made again also when nobody here has a handle of the actor any more, and hold it meanwhile. */
  callerAgain(caller: ActorCaller): ActorCaller {
    const known = this.#callers.get(caller.actorId);
    if (known?.includes(caller) || caller.news.last?.state === 'dead') return caller;
    if (known === undefined) this.#again.add(caller.actorId);
    const held = this.hold(caller.settings);
    held.onIdle ??= () => this.drop(held);
    return held;
  }

  /** A caller for an actor that the head has just described (and for which it counts us as a holder). */
  adoptDescription(description: ActorDescription): ActorCaller {
    const known = this.#callers.get(description.actorId)?.[0];
    const caller = known ?? this.#add(settingsOf(description));
    this.#applyDescription(caller, description);
    return caller;
  }

  /** Asked for while a request is under way (there may be no head for a while): goes with the next one. */
  refresh(actorId: ActorId): void {
    this.#holds.add(actorId);
    if (this.#holds.size === 1 && !this.#isAsking) process.nextTick(() => void this.#sendHolds());
  }

  async #sendHolds(): Promise<void> {
    this.#isAsking = true;
    while (this.#holds.size > 0) {
      const actorIds = [...this.#holds].slice(0, IDS_PER_REQUEST);
      for (const actorId of actorIds) this.#holds.delete(actorId);
      await this.#requestHolds(actorIds);
    }
    this.#isAsking = false;
  }

  async #requestHolds(actorIds: ActorId[]): Promise<void> {
    try {
      const head = await this.#core.head();
      const again = actorIds.filter((actorId) => this.#again.delete(actorId));
      const lived = this.#lived.of(actorIds);
      const message = { processId: this.#core.processId, actorIds, again, lived };
      const reply = await head.request('actor.hold', message, ActorHoldReply);
      this.#lived.told(lived);
      reply.actors.forEach((description, index) =>
        this.#held(actorIds[index] as ActorId, description),
      );
    } catch (error) {
      for (const actorId of actorIds) {
        for (const caller of this.#callers.get(actorId) ?? []) {
          if (caller.news.last === undefined) this.#failCreation(caller, error as MantaError);
        }
      }
    }
  }

  #held(actorId: ActorId, description: ActorDescription | undefined): void {
    if (description !== undefined) this.#constructorPins.apply(description.update);
    const callers = this.#callers.get(actorId);
    if (callers === undefined) {
      if (description === undefined) this.#constructorPins.release(actorId);
      this.#releaseLater(description?.actorId ?? actorId);
      return;
    }
    for (const caller of callers) {
      if (description === undefined) this.#unknown(caller);
      else if (description.actorId === actorId) caller.apply(description.update);
      else this.#adopt(caller, description);
    }
  }

  /** A handle may arrive before its creator's request did: an unknown actor gets a while to appear. */
  #unknown(caller: ActorCaller): void {
    const lease = this.leases.get(caller.actorId);
    if (lease !== undefined) {
      this.submitCreation(lease, caller);
      return;
    }
    const askedMs = this.#clock.now() - caller.madeAt;
    if (caller.news.last === undefined && askedMs < UNKNOWN_ACTOR_GRACE_MS) {
      this.#clock.after(UNKNOWN_ACTOR_RETRY_MS, () => this.refresh(caller.actorId), {
        unref: true,
      });
    } else {
      this.#failCreation(caller, this.#core.unknownActor(caller.actorId, caller.className));
    }
  }

  /** After a head restart: says again what this process holds. */
  holdAllAgain(): void {
    for (const actorId of this.#callers.keys()) this.refresh(actorId);
    for (const actorId of this.#constructorPins.actorIds()) this.refresh(actorId);
  }

  applyUpdate(update: ActorUpdate): void {
    this.#constructorPins.apply(update);
    for (const caller of this.#callers.get(update.actorId) ?? []) caller.apply(update);
  }

  /** The word of the actor's own process, which has this address. */
  begun(actorId: ActorId, incarnation: number, address: ProcessAddress): void {
    for (const caller of this.#callers.get(actorId) ?? []) caller.begun(incarnation, address);
  }

  /** This process has spoken to a life that the head may take for one that never was. */
  lived(actorId: ActorId, incarnation: number): void {
    this.#lived.add(actorId, incarnation);
    this.refresh(actorId);
  }

  /** The last handle of this caller is gone. */
  drop(caller: ActorCaller): void {
    if (this.#core.hasHandles(caller)) return;
    if (caller.unfinishedCalls > 0 || caller.creating) {
      caller.onIdle = () => this.drop(caller);
      return;
    }
    this.#remove(caller);
    caller.close();
    if (!this.#callers.has(caller.actorId)) this.#releaseLater(caller.actorId);
  }

  #releaseLater(actorId: ActorId): void {
    this.#releases.add(actorId);
    if (this.#releases.size === 1)
      this.#clock.after(RELEASE_DELAY_MS, () => void this.#sendReleases(), { unref: true });
  }

  async #sendReleases(): Promise<void> {
    const released = [...this.#releases].filter((actorId) => !this.#callers.has(actorId));
    this.#releases.clear();
    try {
      const head = await this.#core.head();
      for (let first = 0; first < released.length; first += IDS_PER_REQUEST) {
        const actorIds = released.slice(first, first + IDS_PER_REQUEST);
        await head.request(
          'actor.release',
          { processId: this.#core.processId, actorIds },
          Acknowledgement,
        );
      }
    } catch (error) {
      this.#core.warn(
        'handles could not be released; the head drops them when this process ends',
        error,
      );
    }
  }

  #add(settings: CallerSettings): ActorCaller {
    const caller = new ActorCaller(this.#core, settings);
    this.#insert(caller);
    return caller;
  }

  #insert(caller: ActorCaller): void {
    const known = this.#callers.get(caller.actorId);
    if (known === undefined) this.#callers.set(caller.actorId, [caller]);
    else known.push(caller);
  }

  #remove(caller: ActorCaller): void {
    const rest = (this.#callers.get(caller.actorId) ?? []).filter((other) => other !== caller);
    if (rest.length === 0) this.#callers.delete(caller.actorId);
    else this.#callers.set(caller.actorId, rest);
  }

  callers(): ActorCaller[] {
    return [...this.#callers.values()].flat();
  }

  closeAll(): void {
    for (const callers of this.#callers.values()) for (const caller of callers) caller.close();
    this.#callers.clear();
  }
}

/** How the actor wants to be called, as its specification or its description says. */
export function settingsOf(actor: ActorSpec | ActorDescription): CallerSettings {
  return callerSettings(actor.actorId, actor.className, actor);
}
