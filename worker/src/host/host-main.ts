import type { AgentToHost, HostConfiguration, HostToAgent, StartActor } from './host-protocol.ts';
import { HostRuntime } from './host-runtime.ts';
import { ThreadSupervisor } from './thread-supervisor.ts';

/** What a host process does with the agent's messages; threads are one level further down. */
interface Host {
  start(actor: StartActor): Promise<void>;
  end(message: Extract<AgentToHost, { type: 'end' }>): void;
  partition(on: boolean): void;
  /** False: it is still needed. */
  mayRetire(): Promise<boolean>;
}

let host: Host | undefined;
let ends = false;

/** A process host is over with its actor: once the agent has the last message, the process exits. */
function send(message: HostToAgent): void {
  const isLast = message.type === 'ended' && ends;
  process.send?.(message, undefined, undefined, () => {
    if (isLast) process.exit(0);
  });
}

async function configure(configuration: HostConfiguration): Promise<void> {
  ends = configuration.isolation === 'process';
  if (configuration.isolation === 'thread') {
    host = new ThreadSupervisor(configuration, send);
    return;
  }
  const runtime = new HostRuntime(configuration, send);
  await Promise.all([preload(configuration), runtime.listen()]);
  host = {
    start: (actor) => {
      applyEnvironment(actor, configuration.isolation);
      return runtime.start(actor);
    },
    end: ({ actorId, incarnation, how, cause }) => runtime.end(actorId, incarnation, how, cause),
    partition: (on) => runtime.partition(on),
    mayRetire: () => runtime.mayRetire(),
  };
  runtime.announce();
}

/** Brings the SDK in, which every actor needs. */
async function preload({ practice }: HostConfiguration): Promise<void> {
  if (practice === undefined) return;
  const { moduleUrl } = practice.spec.classReference;
  try {
    // By a query, so that practice finds the module itself not loaded yet.
    await import(`${moduleUrl}?preload`);
  } catch (error) {
    // It only saves time: an actor that needs it will say what is wrong.
    console.error(`Module ${moduleUrl} could not be loaded ahead of time:`, error);
  }
}

/**
 * Before the actor's module loads, so that what it imports sees its devices and variables. Those who share a process
 * have the same ones.
 */
function applyEnvironment(
  { spec, gpuIndexes }: StartActor,
  isolation: HostConfiguration['isolation'],
): void {
  process.title = isolation === 'process' ? `manta:${spec.className}` : 'manta:shared';
  process.env['CUDA_VISIBLE_DEVICES'] = gpuIndexes.join(',');
  Object.assign(process.env, spec.env);
}

async function receive(message: AgentToHost): Promise<void> {
  switch (message.type) {
    case 'configure':
      await configure(message.configuration);
      return;
    case 'start':
      await Promise.all(message.actors.map(async (actor) => host?.start(actor)));
      return;
    case 'end':
      host?.end(message);
      return;
    case 'partition':
      host?.partition(message.on);
      return;
    case 'retire':
      if (await host?.mayRetire()) process.exit(0);
      send({ type: 'retained' });
      return;
  }
}

process.on('message', (message) => void receive(message as AgentToHost));
// Without its agent a host has no purpose, and must not outlive it.
process.on('disconnect', () => process.exit(0));
// The agent ends hosts; a Ctrl-C in the terminal is meant for the driver.
process.on('SIGINT', () => undefined);
