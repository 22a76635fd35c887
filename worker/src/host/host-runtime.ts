import { randomFillSync } from 'node:crypto';
import {
  provideHostContext,
  type ActorConstructor,
  type RunningCall,
  type TaskBody,
} from '@manta/runtime/actor/host-context';
import type { ChannelServer } from '@manta/runtime/channel/channel';
import { listenChannels } from '@manta/runtime/channel/channel-server';
import { CoreProcess } from '@manta/runtime/core/core-process';
import { createActorHandle } from '@manta/runtime/core/actor-handle';
import { collectGarbage } from '@manta/runtime/core/garbage';
import type { DeathCause } from '@manta/runtime/errors/death-cause';
import { ActorUnavailableError, type MantaError } from '@manta/runtime/errors/errors';
import { createIdMint, type ActorId } from '@manta/runtime/ids';
import { RECORD } from '@manta/runtime/rpc/records';
import { encodeError } from '@manta/runtime/serialization/error-codec';
import { isEncryptedBus } from '@manta/runtime/session/address';
import { systemClock } from '@manta/runtime/time/clock';
import { within } from '@manta/runtime/time/within';
import { isLoopback } from '@manta/runtime/transport/local-address';
import type { Transport } from '@manta/runtime/transport/transport';
import { LIMITS } from '@manta/runtime/wire/limits';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import { shortened } from '@manta/runtime/wire/shortened';
import { ActorInstance } from './actor-instance.ts';
import { CallContext } from './call-context.ts';
import { CallServer } from './call-server.ts';
import type { AgentToHost, HostConfiguration, HostToAgent, StartActor } from './host-protocol.ts';
import { openConstructorArguments } from './constructor-arguments.ts';
import { ModuleLoader } from './module-loader.ts';
import { OpenChannels } from './open-channels.ts';
import { TaskExecutor } from './task-executor.ts';
import { TaskFunctions } from './task-functions.ts';
import { warmUp, type Stage } from './warm-up.ts';

type EndHow = Extract<AgentToHost, { type: 'end' }>['how'];

/** Hosts that are wanted at once are not kept from it by practice. */
const WARM_UP_DELAY_MS = 20;
const REFUSALS_INTERVAL_MS = 1_000;
const FLUSH_TIMEOUT_MS = 500;

/**
 * What runs in every event loop that houses actors: a host process, or a worker thread of one. It takes channels,
 * loads classes, and keeps the living actors.
 */
export class HostRuntime {
  readonly #configuration: HostConfiguration;
  readonly #send: (message: HostToAgent) => void;
  readonly #core: CoreProcess;
  readonly #loader: ModuleLoader;
  readonly #context = new CallContext();
  readonly #channels = new OpenChannels();
  #refusedChannels = 0;
  readonly #actors = new Map<string, ActorInstance>();
  /** Their modules load, or their arguments are on the way. */
  readonly #starting = new Set<StartActor>();
  readonly #taskFunctions: TaskFunctions;
  /** The lease that this process serves; one at a time. */
  #executor: TaskExecutor | undefined;
  #server: ChannelServer | undefined;
  #partitioned = false;
  #isUsed = false;
  /** Devices that nobody else gets while this process is there. */
  #heldGpuIds: readonly string[] = [];

  constructor(configuration: HostConfiguration, send: (message: HostToAgent) => void) {
    this.#configuration = configuration;
    this.#send = send;
    this.#loader = new ModuleLoader({
      cacheDirectory: configuration.moduleCacheDirectory,
      loadsAtOnce: configuration.isolation === 'process',
      clock: systemClock,
    });
    this.#taskFunctions = new TaskFunctions(this.#loader);
    this.#core = this.#createCore();
    this.#core.parentNow = () => this.#context.parentNow();
    provideHostContext({
      core: this.#core,
      nodeId: configuration.nodeId,
      clusterId: configuration.clusterId,
      brokerAddress: configuration.brokerAddress,
      define: (moduleUrl: string, exportKey: string, code: ActorConstructor | TaskBody) =>
        this.#loader.define(moduleUrl, exportKey, code),
      currentCall: (): RunningCall | undefined => this.#context.current(),
      reachedDriverPart: () => this.#loader.reachedDriverPart(),
    });
  }

  #createCore(): CoreProcess {
    const { clusterId, processId, machineId, nodeId, token, brokerAddress, agent, storePlace } =
      this.#configuration;
    const core: CoreProcess = new CoreProcess({
      clusterId,
      processId,
      role: 'host',
      machineId,
      nodeId,
      token,
      encrypted: isEncryptedBus(brokerAddress),
      agent,
      storePlace,
      clock: systemClock,
      mintId: createIdMint((bytes) => randomFillSync(bytes)),
      connectTransport: async (): Promise<Transport> => {
        const { connectNats } = await import('@manta/runtime/transport/nats-transport');
        return connectNats({ servers: [brokerAddress], token, name: `host ${processId}` });
      },
      address: { processId, nodeId, machineId, socketPath: undefined, tcp: undefined },
      reviveHandle: (data) => createActorHandle(core, data),
      warn: (message, error) => console.error(message, error),
    });
    return core;
  }

  /** Opens the channel server and tells the agent. */
  async listen(): Promise<void> {
    const { processId, machineId, nodeId, socketDirectory, tcpHost, token, brokerAddress } =
      this.#configuration;
    this.#server = await listenChannels({
      processId,
      role: 'host',
      machineId,
      nodeId,
      socketDirectory,
      ...(tcpHost === undefined ? {} : { tcpHost }),
      encrypted: isEncryptedBus(brokerAddress),
      token,
      onChannel: (channel) => {
        this.#channels.add(channel);
        new CallServer(channel, this.#core, {
          find: (actorId, incarnation) =>
            this.#lease(actorId, incarnation) ?? this.#find(actorId, incarnation),
        });
      },
      onRefused: (reason) => this.#refused(reason),
      accepts: () => !this.#partitioned,
    });
    Object.assign(this.#core.options.address, this.#server.address);
  }

  /** The agent is told of many at once: who tries a port often must not keep both busy. */
  #refused(reason: MantaError): void {
    console.error(`A channel was refused: ${reason.message}`);
    this.#refusedChannels += 1;
    if (this.#refusedChannels > 1) return;
    const tell = (): void => {
      this.#send({ type: 'refused-channels', channels: this.#refusedChannels });
      this.#refusedChannels = 0;
    };
    systemClock.after(REFUSALS_INTERVAL_MS, tell, { unref: true });
  }

  /** From now on the agent may send actors. When none comes at once, the host practises. */
  announce(): void {
    const { address } = this.#server as ChannelServer;
    this.#send({ type: 'ready', address });
    const { tcpHost } = this.#configuration;
    if (tcpHost !== undefined && !isLoopback(tcpHost)) void this.#listenOnNats();
    systemClock.after(
      WARM_UP_DELAY_MS,
      () => {
        const { practice } = this.#configuration;
        if (practice !== undefined && !this.#isUsed) void this.#warmUp(address, practice);
      },
      { unref: true },
    );
  }

  async #warmUp(address: ProcessAddress, practice: StartActor): Promise<void> {
    const stage: Stage = {
      core: this.#core,
      address,
      start: (actor) =>
        this.#startActor(actor, (message) => {
          if (message.type === 'ended') throw new Error(message.cause.message);
        }),
      leave: ({ spec }) => {
        this.#actors.delete(spec.actorId);
        this.#loader.forget(spec.classReference.moduleUrl);
      },
      isOver: () => this.#isUsed,
    };
    try {
      await warmUp(stage, practice);
    } catch (error) {
      // It only saves time; an actor that comes is not affected.
      console.error('This host could not call itself to warm up:', error);
    }
  }

  /** For machines that a firewall keeps from `tcpHost`. Callers that need it try again until it is there. */
  async #listenOnNats(): Promise<void> {
    const { clusterId, processId } = this.#configuration;
    try {
      const { subjectsOf } = await import('@manta/runtime/wire/subjects');
      const transport = await this.#core.transport();
      const subject = subjectsOf(clusterId).processChannel(processId);
      await this.#server?.listenOnNats({ transport, subject });
    } catch (error) {
      console.error('This host cannot be reached over NATS:', error);
    }
  }

  #find(actorId: string, incarnation: number): ActorInstance | undefined {
    const instance = this.#actors.get(actorId);
    return instance?.incarnation === incarnation ? instance : undefined;
  }

  #lease(actorId: string, incarnation: number): TaskExecutor | undefined {
    const executor = this.#executor;
    const isIt = executor?.spec.actorId === actorId && executor.incarnation === incarnation;
    return isIt ? executor : undefined;
  }

  #startLease({ spec, incarnation, gpuIndexes }: StartActor): void {
    const { actorId } = spec;
    this.#executor = new TaskExecutor({
      spec,
      incarnation,
      gpuIds: gpuIndexes.map(String),
      core: this.#core,
      clock: systemClock,
      context: this.#context,
      functions: this.#taskFunctions,
      onBlocked: (isBlocked) =>
        this.#send({ type: isBlocked ? 'blocked' : 'unblocked', actorId, incarnation }),
    });
    const { address } = this.#server as ChannelServer;
    this.#send({ type: 'started', actorId, incarnation, address });
  }

  #endLease(executor: TaskExecutor, how: EndHow, cause: DeathCause): void {
    const { spec, incarnation, isIdle, isSpent, gpuIds } = executor;
    const { actorId } = spec;
    this.#executor = undefined;
    executor.close(`Lease ${actorId} is over: ${cause.message}`);
    this.#heldGpuIds = gpuIds;
    if (how === 'return' && isIdle) this.#send({ type: 'returned', actorId, incarnation, isSpent });
    else this.#send({ type: 'ended', actorId, incarnation, cause });
  }

  /** False: somebody still needs what this process owns. */
  async mayRetire(): Promise<boolean> {
    // What only garbage keeps nobody needs.
    if (this.#isNeeded) await collectGarbage();
    if (this.#isNeeded && this.#heldGpuIds.length > 0) this.#warnOfHeldGpus();
    if (!this.#isNeeded) await this.#flushed();
    return !this.#isNeeded;
  }

  get #isNeeded(): boolean {
    return (
      this.#executor !== undefined ||
      this.#core.objects.table.size > 0 ||
      this.#core.tasks.unfinishedCount > 0 ||
      this.#core.actors.callers().length > 0
    );
  }

  /** Once: whoever waits for the device should know for what. */
  #warnOfHeldGpus(): void {
    console.error(
      `Process ${this.#configuration.processId} keeps its GPU ${this.#heldGpuIds.join(', ')} though its tasks have ` +
        'ended: refs that they made (put(), nested tasks, actors) are in use. Return values rather than such refs, or ' +
        'drop them, to free the device.',
    );
    this.#heldGpuIds = [];
  }

  async start(actor: StartActor): Promise<void> {
    this.#isUsed = true;
    if (actor.spec.kind === 'task-worker') this.#startLease(actor);
    else await this.#startActor(actor, this.#send);
  }

  async #startActor(actor: StartActor, tell: (message: HostToAgent) => void): Promise<void> {
    const { spec, incarnation } = actor;
    const { actorId, className } = spec;
    this.#starting.add(actor);
    let failed = `The module of ${className} could not be loaded`;
    try {
      const actorClass = await this.#loader.load(spec.classReference, spec.setupTimeoutMs);
      failed = `The constructor of ${className} could not get its arguments`;
      const args = await openConstructorArguments(this.#core, spec);
      failed = `The constructor of ${className} threw`;
      if (this.#starting.has(actor)) this.#construct(actor, actorClass, args, tell);
    } catch (error) {
      if (this.#starting.has(actor))
        tell({ type: 'ended', actorId, incarnation, ...constructionFailure(failed, error) });
    } finally {
      this.#starting.delete(actor);
    }
  }

  #construct(
    actor: StartActor,
    actorClass: ActorConstructor,
    args: unknown[],
    tell: (message: HostToAgent) => void,
  ): void {
    const { spec, incarnation, restarts, gpuIndexes } = actor;
    const { actorId } = spec;
    const instance: ActorInstance = new ActorInstance({
      spec,
      incarnation,
      restarts,
      gpuIds: gpuIndexes.map(String),
      core: this.#core,
      clock: systemClock,
      context: this.#context,
      onEnded: (cause) => this.#ended(instance, cause),
    });
    instance.construct(actorClass, args);
    this.#actors.set(actorId, instance);
    const toOwner = this.#channels.to(spec.ownerId);
    toOwner?.send([RECORD.begun, 0, actorId, incarnation]);
    // Before the agent hears of it: the owner calls while agent and head take note.
    toOwner?.flush();
    const { address } = this.#server as ChannelServer;
    tell({ type: 'started', actorId, incarnation, address });
  }

  #ended(instance: ActorInstance, cause: DeathCause): void {
    const { actorId } = instance.spec;
    if (this.#actors.get(actorId) !== instance) return;
    this.#actors.delete(actorId);
    void this.#sendLast({ type: 'ended', actorId, incarnation: instance.incarnation, cause });
  }

  /** A process or thread that houses one actor is over with this message: what its calls gave must have left before. */
  async #sendLast(message: HostToAgent): Promise<void> {
    if (this.#configuration.isolation !== 'shared') await this.#flushed();
    this.#send(message);
  }

  /** Who does not read holds nothing up for long. */
  async #flushed(): Promise<void> {
    await within(systemClock, FLUSH_TIMEOUT_MS, (this.#server as ChannelServer).flushed());
  }

  end(actorId: ActorId, incarnation: number, how: EndHow, cause: DeathCause): void {
    const lease = this.#lease(actorId, incarnation);
    if (lease !== undefined) {
      this.#endLease(lease, how, cause);
      return;
    }
    const instance = this.#find(actorId, incarnation);
    if (instance === undefined) {
      if (how === 'kill') this.#endStarting(actorId, incarnation, cause);
      return;
    }
    if (how === 'stop') {
      afterReading(() => instance.end(cause));
      return;
    }
    // Failed, not refused: to callers it is as if the actor's process had died under the call.
    instance.abandon(new ActorUnavailableError(`Actor ${actorId} was killed: ${cause.message}`));
    this.#ended(instance, cause);
  }

  /** A stop is asked for again when the actor has started. */
  #endStarting(actorId: ActorId, incarnation: number, cause: DeathCause): void {
    for (const actor of this.#starting) {
      if (actor.spec.actorId !== actorId || actor.incarnation !== incarnation) continue;
      this.#starting.delete(actor);
      this.#send({ type: 'ended', actorId, incarnation, cause });
    }
  }

  partition(on: boolean): void {
    this.#partitioned = on;
  }
}

/** Calls that were sent before a stop may still lie in this process's sockets: one whole turn of the loop reads them. */
function afterReading(task: () => void): void {
  setImmediate(() => setImmediate(task));
}

function constructionFailure(
  failed: string,
  error: unknown,
): { cause: DeathCause; encodedError?: Uint8Array } {
  const text = error instanceof Error ? error.message : String(error);
  const isEnvironment = error instanceof Error && error.name === 'RuntimeEnvSetupError';
  const message = shortened(isEnvironment ? text : `${failed}: ${text}`);
  const cause = { kind: isEnvironment ? 'runtime-env-failed' : 'constructor-failed', message };
  const encodedError = encodeError(error);
  // The cause still says what happened.
  return encodedError.byteLength > LIMITS.encodedErrorBytes ? { cause } : { cause, encodedError };
}
