import { rm, stat } from 'node:fs/promises';
import { removeSocket } from '@manta/runtime/channel/local-listener';
import type { DeathCause } from '@manta/runtime/errors/death-cause';
import type { JobId, MintId, NodeId, ProcessId } from '@manta/runtime/ids';
import type { Clock } from '@manta/runtime/time/clock';
import type { Isolation, ProcessAddress } from '@manta/runtime/wire/messages';
import type { HostConfiguration, HostToAgent, StartActor } from '../host/host-protocol.ts';
import { readOomKills } from '../resources/cpu-and-memory.ts';
import { exitCause } from './exit-cause.ts';
import { HostProcess, logFileName, type ProcessExit } from './host-process.ts';
import {
  createPoolState,
  type ActorKey,
  type Assignment,
  type PoolEffect,
  type PoolEvent,
  type PoolState,
} from './pool-records.ts';
import type { PoolSettings } from './pool-settings.ts';
import { lacksLeisureHosts, stepPool } from './pool-state.ts';
import type { ProcessGroups } from './process-groups.ts';
import { SpareTime } from './spare-time.ts';

/** A host that is not ready by then is taken for stuck. */
const HOST_START_TIMEOUT_MS = 30_000;
/** A host without actors, or between two leases, is kept for the next ones for so long. */
const EMPTY_HOST_KEPT_MS = 10_000;
/** A host that is to go as soon as it may is asked so often. */
const RETIREMENT_INTERVAL_MS = 1_000;
/** A host that was asked to retire answers in this time, or is stuck and killed. */
const RETIRE_TIMEOUT_MS = 10_000;
/** A host whose last actor is over ends by itself in this time, or is killed. */
const HOST_END_GRACE_MS = 1_000;
/** A start takes most of a core for a tenth of a second: not while the actor that took the last host comes up. */
const REFILL_DELAY_MS = 200;

export interface HostPoolOptions {
  settings: PoolSettings;
  /** Path of the program that speaks `host-protocol.ts`. */
  entryFile: string;
  nodeArguments?: readonly string[];
  logDirectory: string;
  environment: NodeJS.ProcessEnv;
  groups: ProcessGroups;
  clock: Clock;
  mintId: MintId;
  nodeId(): NodeId;
  configuration(hostId: ProcessId, isolation: Isolation): HostConfiguration;
  /** A host takes these actors now; gives what it needs to start them. */
  onHanded(actorKeys: readonly ActorKey[], host: HostProcess): StartActor[];
  /** It has been told to. */
  onStarting(actors: readonly StartActor[], host: HostProcess): void;
  /** A 'process' host is ready, and waits for its first actor. */
  onIdle(host: ProcessAddress): void;
  /** What the host says of its actors. */
  onActorMessage(message: ActorMessage, host: HostProcess): void;
  /** A host has refused so many channels more. */
  onRefusedChannels(channels: number): void;
  /** These actors ended with their host; `used`: it had actors in its life, so others may know it. */
  onLost(host: HostProcess, actorKeys: readonly ActorKey[], cause: DeathCause, used: boolean): void;
}

export type ActorMessage = Exclude<
  HostToAgent,
  { type: 'ready' | 'retained' | 'refused-channels' }
>;

type SpawnEffect = Extract<PoolEffect, { type: 'spawn' }>;

interface HostEntry {
  process: HostProcess;
  isolation: Isolation;
  used: boolean;
  /** The one actor of a 'process' host: its end is reported when the process is gone. */
  handed: ActorKey | undefined;
  cancelTimer: (() => void) | undefined;
}

/** Runs the host processes as `pool-state.ts` decides. */
export class HostPool {
  private readonly options: HostPoolOptions;
  private readonly state: PoolState;
  private readonly hosts = new Map<ProcessId, HostEntry>();
  private readonly mintHostId: () => ProcessId;
  /** Hosts that the pool counts as starting, and how to call their start off. */
  private readonly unspawned = new Map<ProcessId, () => void>();
  private readonly spareTime: SpareTime;
  private oomKills = readOomKills();
  private partitioned = false;
  private onAllGone: (() => void) | undefined;

  constructor(options: HostPoolOptions) {
    this.options = options;
    this.state = createPoolState(options.settings);
    this.mintHostId = () => options.mintId('process');
    this.spareTime = new SpareTime({
      clock: options.clock,
      wanted: () => lacksLeisureHosts(this.state),
      run: () => this.step({ type: 'leisure' }),
    });
  }

  /** From now on hosts are started ahead of need. */
  open(): void {
    this.step({ type: 'open' });
  }

  assign(assignments: readonly Assignment[]): void {
    this.spareTime.disturb();
    this.step({ type: 'assign', assignments });
  }

  release(actorKey: ActorKey): void {
    this.step({ type: 'actor-ended', actorKey });
  }

  /** The lease is over, and its host may have another one. */
  returned(actorKey: ActorKey): void {
    this.handBack(actorKey);
    this.step({ type: 'returned', actorKey });
  }

  private handBack(actorKey: ActorKey): void {
    const hostId = this.state.hostOfActor.get(actorKey);
    const entry = hostId === undefined ? undefined : this.hosts.get(hostId);
    if (entry !== undefined) entry.handed = undefined;
  }

  /** The lease is over, and its host takes no other; with `isHeld` its place is free when the host is gone. */
  spent(actorKey: ActorKey, isHeld: boolean): void {
    if (!isHeld) this.handBack(actorKey);
    this.step({ type: 'spent', actorKey, isHeld });
  }

  /** Nothing that is kept of this job is needed any more. */
  endJob(jobId: JobId): void {
    this.step({ type: 'job-ended', jobId });
  }

  /** Hosts between two leases; others may need what they own. */
  keptHosts(): ProcessId[] {
    const kept = [...this.state.hosts.values()].filter(
      ({ phase, actors }) =>
        phase === 'kept' || phase === 'retiring' || (phase === 'spent' && actors.size === 0),
    );
    return kept.map(({ hostId }) => hostId);
  }

  /** Those that have, or had, actors. */
  usedHosts(): { address: ProcessAddress; pid: number | undefined }[] {
    const used = [...this.hosts.values()].filter((entry) => entry.used);
    return used.flatMap(({ process: { address, pid } }) =>
      address === undefined ? [] : [{ address, pid }],
    );
  }

  /** 'process' hosts that wait for their first actor. */
  idleHosts(): ProcessAddress[] {
    return [...this.state.idle].flatMap(({ hostId }) => this.host(hostId)?.address ?? []);
  }

  host(hostId: ProcessId): HostProcess | undefined {
    return this.hosts.get(hostId)?.process;
  }

  setPartitioned(on: boolean): void {
    this.partitioned = on;
    for (const { process } of this.hosts.values()) process.send({ type: 'partition', on });
  }

  /** Kills every host at once; the pool fills up again with new ones. */
  killAll(): void {
    this.step({ type: 'discard' });
    for (const { process } of this.hosts.values()) process.kill();
  }

  /** Ends all hosts: those that work get SIGTERM and `graceMs`. Resolves when every process is gone. */
  async close(graceMs: number): Promise<void> {
    const working = [...this.hosts.values()].filter(
      ({ process }) => (this.state.hosts.get(process.hostId)?.actors.size ?? 0) > 0,
    );
    const gone = new Promise<void>((resolve) => {
      this.onAllGone = resolve;
    });
    this.step({ type: 'close' });
    for (const entry of this.hosts.values()) {
      if (working.includes(entry)) entry.process.stop(graceMs);
      else entry.process.kill();
    }
    if (this.hosts.size > 0) await gone;
  }

  private step(event: PoolEvent): void {
    this.apply(stepPool(this.state, event, this.mintHostId));
  }

  private apply(effects: readonly PoolEffect[]): void {
    this.applyEach(effects);
    this.spareTime.check();
    if (this.state.waiting.size === 0) return;
    for (const hostId of [...this.unspawned.keys()]) this.spawnNow(hostId);
  }

  private applyEach(effects: readonly PoolEffect[]): void {
    for (const effect of effects) {
      switch (effect.type) {
        case 'spawn':
          this.spawnSoon(effect);
          break;
        case 'start':
          this.start(effect.hostId, effect.actorKeys);
          break;
        case 'stop':
          this.stop(effect.hostId);
          break;
        case 'retire':
          this.retire(effect.hostId);
          break;
        case 'end':
          this.hosts.get(effect.hostId)?.process.stop(HOST_END_GRACE_MS);
          break;
        case 'arm-idle-timeout':
          this.armIdleTimeout(effect.hostId, EMPTY_HOST_KEPT_MS);
          break;
        case 'arm-retirement':
          this.armIdleTimeout(effect.hostId, RETIREMENT_INTERVAL_MS);
          break;
        case 'lost':
          // Reported by `exited`, which knows the cause.
          break;
      }
    }
  }

  /** A host that only fills the pool up may be made a little later; not so when an actor waits for it. */
  private spawnSoon({ hostId, isolation, startVariables }: SpawnEffect): void {
    if (isolation !== 'process' || startVariables !== undefined) {
      this.spawn(hostId, isolation, startVariables);
      return;
    }
    const { hosts, idle, settings } = this.state;
    const wasJustTaken = hosts.size > 1 && idle.size < settings.poolSize;
    const delayMs = wasJustTaken ? REFILL_DELAY_MS : 0;
    // Never at once: making a process stops this one for milliseconds, so first let out what it has just said.
    const cancel = this.options.clock.after(delayMs, () => this.spawnNow(hostId));
    this.unspawned.set(hostId, cancel);
  }

  private spawnNow(hostId: ProcessId): void {
    this.unspawned.get(hostId)?.();
    if (this.unspawned.delete(hostId)) this.spawn(hostId, 'process');
  }

  private spawn(
    hostId: ProcessId,
    isolation: Isolation,
    startVariables?: Record<string, string>,
  ): void {
    const { options } = this;
    const process = new HostProcess({
      hostId,
      entryFile: options.entryFile,
      nodeArguments: options.nodeArguments ?? [],
      logDirectory: options.logDirectory,
      environment: { ...options.environment, ...startVariables },
      groups: options.groups,
      clock: options.clock,
      onMessage: (message) => this.receive(hostId, message),
      onExit: (exit) => this.exited(hostId, exit),
    });
    const cancelTimer = options.clock.after(HOST_START_TIMEOUT_MS, () => process.kill());
    this.hosts.set(hostId, { process, isolation, used: false, handed: undefined, cancelTimer });
    process.send({ type: 'configure', configuration: options.configuration(hostId, isolation) });
    if (this.partitioned) process.send({ type: 'partition', on: true });
  }

  private start(hostId: ProcessId, actorKeys: ActorKey[]): void {
    const entry = this.hosts.get(hostId);
    if (entry === undefined) return;
    entry.cancelTimer?.();
    entry.used = true;
    if (entry.isolation === 'process') entry.handed = actorKeys[0];
    const actors = this.options.onHanded(actorKeys, entry.process);
    entry.process.send({ type: 'start', actors });
    this.options.onStarting(actors, entry.process);
  }

  private stop(hostId: ProcessId): void {
    this.unspawned.get(hostId)?.();
    if (this.unspawned.delete(hostId)) this.step({ type: 'exited', hostId });
    const entry = this.hosts.get(hostId);
    if (entry === undefined) return;
    // A 'process' host ends by itself after its actor; the others have to be told.
    if (entry.isolation === 'process') entry.process.killAfter(HOST_END_GRACE_MS);
    else entry.process.stop(HOST_END_GRACE_MS);
  }

  private armIdleTimeout(hostId: ProcessId, afterMs: number): void {
    const entry = this.hosts.get(hostId);
    if (entry === undefined) return;
    entry.cancelTimer?.();
    entry.cancelTimer = this.options.clock.after(afterMs, () =>
      this.step({ type: 'idle-timeout', hostId }),
    );
  }

  private retire(hostId: ProcessId): void {
    const entry = this.hosts.get(hostId);
    if (entry === undefined) return;
    const { process } = entry;
    entry.cancelTimer?.();
    entry.cancelTimer = this.options.clock.after(RETIRE_TIMEOUT_MS, () => process.kill());
    process.send({ type: 'retire' });
  }

  private receive(hostId: ProcessId, message: HostToAgent): void {
    const entry = this.hosts.get(hostId);
    if (entry === undefined) return;
    if (message.type === 'refused-channels') {
      this.options.onRefusedChannels(message.channels);
      return;
    }
    if (message.type !== 'ready' && message.type !== 'retained') {
      this.options.onActorMessage(message, entry.process);
      return;
    }
    entry.cancelTimer?.();
    entry.cancelTimer = undefined;
    if (message.type === 'ready') entry.process.address = message.address;
    this.step({ type: message.type, hostId });
    if (message.type === 'ready' && this.idleHosts().includes(message.address))
      this.options.onIdle(message.address);
  }

  private exited(hostId: ProcessId, exit: ProcessExit): void {
    const entry = this.hosts.get(hostId);
    if (entry === undefined) return;
    this.hosts.delete(hostId);
    entry.cancelTimer?.();
    removeSocket(this.options.configuration(hostId, entry.isolation).socketDirectory, hostId);
    const effects = stepPool(this.state, { type: 'exited', hostId }, this.mintHostId);
    const lost = new Set(
      effects.flatMap((effect) => (effect.type === 'lost' ? effect.actorKeys : [])),
    );
    if (entry.handed !== undefined) lost.add(entry.handed);
    this.options.onLost(entry.process, [...lost], this.causeOf(entry, exit), entry.used);
    if (!entry.used) void removeEmptyLogs(entry.process);
    this.apply(effects);
    if (this.hosts.size === 0) this.onAllGone?.();
  }

  private causeOf(entry: HostEntry, exit: ProcessExit): DeathCause {
    const { process } = entry;
    const nodeId = this.options.nodeId();
    if (exit.error !== undefined) {
      const message = `its process could not be started: ${exit.error.message}`;
      return { kind: 'process-died', message, nodeId };
    }
    if (exit.signal === 'SIGKILL' && this.options.groups.wereKilled) {
      const message = `node ${nodeId} was cut off from the head and ended its actors`;
      return { kind: 'node-died', message, nodeId };
    }
    return exitCause({
      pid: process.pid,
      exitCode: exit.exitCode,
      signal: exit.signal,
      stderrTail: process.stderrTail(),
      kernelOutOfMemory: this.kernelKilledOne(),
      logFile: logFileName(process.hostId, 'err'),
      nodeId,
    });
  }

  private kernelKilledOne(): boolean {
    const before = this.oomKills;
    this.oomKills = readOomKills();
    return before !== undefined && this.oomKills !== undefined && this.oomKills > before;
  }
}

/** Hosts that never had an actor leave no files, unless they wrote why they failed. */
async function removeEmptyLogs(process: HostProcess): Promise<void> {
  for (const file of [process.outFile, process.errorFile]) {
    const size = await stat(file).then(
      (found) => found.size,
      () => undefined,
    );
    if (size === 0) await rm(file, { force: true });
  }
}
