import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { MintId, NodeId, ProcessId } from '@manta/runtime/ids';
import type { Clock } from '@manta/runtime/time/clock';
import type {
  Isolation,
  LeaseReport,
  NodeCommand,
  NodeEvent,
  ProcessAddress,
} from '@manta/runtime/wire/messages';
import type { HostConfiguration, StartActor } from '../host/host-protocol.ts';
import { HostPool, type ActorMessage } from '../pool/host-pool.ts';
import type { HostProcess } from '../pool/host-process.ts';
import type { ActorKey, Assignment } from '../pool/pool-records.ts';
import type { PoolSettings } from '../pool/pool-settings.ts';
import type { ProcessGroups } from '../pool/process-groups.ts';
import { startVariablesOf } from '../pool/start-variables.ts';
import {
  actorKeyOf,
  createAgentState,
  hostedActors,
  leases,
  stepAgent,
  type ActorRecord,
  type AgentEffect,
  type AgentEvent,
  type EndHow,
  type HostWithActors,
} from './agent-state.ts';
import type { JobLogPublisher } from './job-log-publisher.ts';
import type { LogDirectory } from './log-directory.ts';
import type { LocalProcess } from './object-inquiries.ts';

/** Beyond the actor's own time to stop, before its process is killed. */
const STOP_MARGIN_MS = 1_000;
/** A 'shared' or 'thread' host that has not given up one of its actors by then is stuck, and killed with all of them. */
const SHARED_END_TIMEOUT_MS = 30_000;

export interface ActorSupervisorOptions {
  settings: PoolSettings;
  hostEntryFile: string;
  hostNodeArguments: readonly string[];
  environment: NodeJS.ProcessEnv;
  logDirectory: string;
  groups: ProcessGroups;
  clock: Clock;
  mintId: MintId;
  logs: LogDirectory;
  jobLogs: JobLogPublisher;
  nodeId(): NodeId;
  configuration(hostId: ProcessId, isolation: Isolation): HostConfiguration;
  report(event: NodeEvent): void;
  /** A host is gone that never had an actor, and that the head need not hear of. */
  onUnusedHostEnded(hostId: ProcessId): void;
  /** A host has refused so many channels more. */
  onRefusedChannels(channels: number): void;
  /** A process of its own starts what `ownerId` asked for. */
  onStarting(ownerId: ProcessId, host: ProcessAddress): void;
  /** A process waits for its first actor. */
  onHostReady(host: ProcessAddress): void;
}

/** Carries out the head's commands: joins what `agent-state.ts` and the host pool decide. */
export class ActorSupervisor {
  private readonly options: ActorSupervisorOptions;
  private readonly state = createAgentState();
  private readonly pool: HostPool;
  private onIdle: (() => void)[] = [];

  constructor(options: ActorSupervisorOptions) {
    this.options = options;
    this.pool = new HostPool({
      settings: options.settings,
      entryFile: options.hostEntryFile,
      nodeArguments: options.hostNodeArguments,
      logDirectory: options.logDirectory,
      environment: options.environment,
      groups: options.groups,
      clock: options.clock,
      mintId: options.mintId,
      nodeId: () => options.nodeId(),
      configuration: (hostId, isolation) => options.configuration(hostId, isolation),
      onHanded: (actorKeys, host) => this.handed(actorKeys, host),
      onStarting: (actors, host) => this.starting(actors, host),
      onIdle: (host) => options.onHostReady(host),
      onActorMessage: (message, host) => this.receive(message, host),
      onRefusedChannels: (channels) => options.onRefusedChannels(channels),
      onLost: (host, actorKeys, cause, used) => this.lost(host, actorKeys, cause, used),
    });
  }

  /** Starts hosts ahead of need from now on. */
  open(): void {
    this.pool.open();
  }

  execute(commands: readonly NodeCommand[]): void {
    this.step({ type: 'commands', commands });
  }

  hosted(): HostWithActors[] {
    return hostedActors(this.state);
  }

  leases(): LeaseReport[] {
    return leases(this.state);
  }

  /** Processes that wait for their first actor. */
  readyHosts(): ProcessAddress[] {
    return this.pool.idleHosts();
  }

  /** Host processes between two leases. */
  idleHosts(): ProcessId[] {
    return this.pool.keptHosts();
  }

  /** Those that have, or had, actors or tasks: others may need what they own. */
  processes(): LocalProcess[] {
    const found = new Map<ProcessId, LocalProcess>();
    const add = (address: ProcessAddress, pid: number | undefined): LocalProcess => {
      const { processId } = address;
      let process = found.get(processId);
      if (process === undefined)
        found.set(processId, (process = { processId, role: 'host', address, pid, actors: [] }));
      return process;
    };
    for (const { address, pid } of this.pool.usedHosts()) add(address, pid);
    for (const { actorId, className, lease, hostId, ...actor } of this.state.actors.values()) {
      const host = hostId === undefined ? undefined : this.pool.host(hostId);
      const address = actor.address ?? host?.address;
      if (address === undefined) continue;
      const isTaskWorker = lease !== undefined;
      add(address, host?.pid).actors.push({ actorId, className, isTaskWorker });
    }
    return [...found.values()];
  }

  get actorCount(): number {
    return this.state.actors.size;
  }

  /** Resolves when no actor is left. */
  idle(): Promise<void> {
    if (this.actorCount === 0) return Promise.resolve();
    return new Promise((resolve) => this.onIdle.push(resolve));
  }

  /** Every actor ends now, for this cause. */
  killAll(cause: DeathCause): void {
    const actorKeys = [...this.state.actors.keys()];
    this.pool.killAll();
    this.step({ type: 'lost', actorKeys, cause });
  }

  setPartitioned(on: boolean): void {
    this.pool.setPartitioned(on);
  }

  close(graceMs: number): Promise<void> {
    return this.pool.close(graceMs);
  }

  private step(event: AgentEvent): void {
    for (const effect of stepAgent(this.state, event)) this.apply(effect);
    if (this.state.actors.size === 0) for (const resolve of this.onIdle.splice(0)) resolve();
  }

  private apply(effect: AgentEffect): void {
    switch (effect.type) {
      case 'assign':
        this.pool.assign(effect.actors.map(assignmentOf));
        break;
      case 'end':
        this.end(effect.actor, effect.how, effect.cause);
        break;
      case 'release':
        this.pool.release(effect.actorKey);
        break;
      case 'keep-host':
        this.pool.returned(effect.actorKey);
        break;
      case 'retire-host':
        this.pool.spent(effect.actorKey, effect.isHeld);
        break;
      case 'end-job':
        this.pool.endJob(effect.jobId);
        break;
      case 'report':
        this.options.report(effect.event);
        break;
    }
  }

  private end(actor: ActorRecord, how: EndHow, cause: DeathCause): void {
    const host = actor.hostId === undefined ? undefined : this.pool.host(actor.hostId);
    if (host === undefined) return;
    const { actorId, incarnation, isolation, gracefulShutdownMs } = actor;
    if (isolation === 'process' && how === 'kill') {
      host.kill();
      return;
    }
    host.send({ type: 'end', actorId, incarnation, how, cause });
    if (how === 'return') {
      this.unlessOver(actor, STOP_MARGIN_MS, () => host.kill());
      return;
    }
    if (isolation === 'process') {
      host.killAfter(gracefulShutdownMs + STOP_MARGIN_MS);
      return;
    }
    // Others live in that process: what overruns its time is given up alone.
    if (how === 'stop')
      this.unlessOver(actor, gracefulShutdownMs + STOP_MARGIN_MS, () =>
        this.end(actor, 'kill', cause),
      );
    else this.unlessOver(actor, SHARED_END_TIMEOUT_MS, () => host.kill());
  }

  private unlessOver(actor: ActorRecord, afterMs: number, then: () => void): void {
    const key = actorKeyOf(actor.actorId, actor.incarnation);
    const check = (): void => {
      if (this.state.actors.get(key) === actor && actor.phase !== 'retiring') then();
    };
    this.options.clock.after(afterMs, check, { unref: true });
  }

  private handed(actorKeys: readonly ActorKey[], host: HostProcess): StartActor[] {
    const starts: StartActor[] = [];
    for (const actorKey of actorKeys) {
      const actor = this.state.actors.get(actorKey);
      if (actor?.start === undefined) continue;
      starts.push(actor.start);
      this.options.logs.actorOn(actor.actorId, host.hostId);
      this.options.jobLogs.actorOn(host, actor);
    }
    this.step({ type: 'handed', actorKeys, hostId: host.hostId });
    return starts;
  }

  private starting(actors: readonly StartActor[], { address }: HostProcess): void {
    if (address === undefined) return;
    for (const { spec } of actors)
      if (spec.isolation === 'process') this.options.onStarting(spec.ownerId, address);
  }

  private receive(message: ActorMessage, host: HostProcess): void {
    const { actorId, incarnation } = message;
    switch (message.type) {
      case 'started': {
        const { address } = message;
        this.step({ type: 'started', actorId, incarnation, address, pid: host.pid ?? 0 });
        break;
      }
      case 'ended': {
        const { cause, encodedError } = message;
        this.step({ type: 'ended', actorId, incarnation, cause, encodedError });
        break;
      }
      case 'returned':
        this.step({ type: 'returned', actorId, incarnation, isSpent: message.isSpent });
        break;
      case 'blocked':
      case 'unblocked': {
        const isBlocked = message.type === 'blocked';
        this.step({ type: 'blocked', actorId, incarnation, isBlocked });
        break;
      }
    }
  }

  private lost(
    host: HostProcess,
    actorKeys: readonly ActorKey[],
    cause: DeathCause,
    used: boolean,
  ): void {
    this.step({ type: 'lost', actorKeys, cause });
    this.options.jobLogs.hostEnded(host);
    if (!used) {
      this.options.onUnusedHostEnded(host.hostId);
      return;
    }
    // After its actors: the head frees what the process itself owned.
    this.options.report({ type: 'process-ended', processId: host.hostId, cause });
    void this.options.logs.hostEnded(host.hostId);
  }
}

function assignmentOf(actor: ActorRecord): Assignment {
  const { gpuIndexes = [], spec } = actor.start ?? {};
  const environment = spec?.env === undefined ? '' : JSON.stringify(spec.env);
  return {
    actorKey: actorKeyOf(actor.actorId, actor.incarnation),
    isolation: actor.isolation,
    isLease: actor.lease !== undefined,
    // The visible devices and the variables are set for a whole process.
    group: `${actor.jobId}/${gpuIndexes.join(',')}/${environment}`,
    startVariables: startVariablesOf(spec?.env),
  };
}
