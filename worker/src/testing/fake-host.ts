import { spawn } from 'node:child_process';
import type {
  AgentToHost,
  HostConfiguration,
  HostToAgent,
  StartActor,
} from '../host/host-protocol.ts';

/**
 * A host process for tests of the agent: speaks `host-protocol.ts` and lets the class name say how its actors behave
 * (see `behaviours`). No actor is really made, no channel is opened.
 */
let configuration: HostConfiguration | undefined;
const actors = new Map<string, StartActor>();
const hoard: unknown[] = [];
let wasRetained = false;

const send = (message: HostToAgent): void => {
  process.send?.(message);
};

const behaviours: Record<string, (start: StartActor) => void> = {
  Crash: () => process.exit(3),
  HeapFull: () => {
    for (;;) hoard.push(Array.from({ length: 10_000 }, (_, index) => hoard.length + index + 0.5));
  },
  Busy: () => {
    for (;;);
  },
  Stubborn: () => {
    process.on('SIGTERM', () => undefined);
  },
  /** Prints the id of a child that would outlive it. */
  Parent: () => {
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
    console.log(`child ${child.pid}`);
  },
  Print: () => {
    console.log('first line\nsecond line');
    console.error('a complaint');
    process.stdout.write('no line break');
  },
  /** A task that waits for others, and goes on. */
  Waits: ({ spec, incarnation }) => {
    const { actorId } = spec;
    send({ type: 'blocked', actorId, incarnation });
    send({ type: 'unblocked', actorId, incarnation });
    send({ type: 'blocked', actorId, incarnation });
  },
  Exit: (start) => finish(start, { kind: 'exited', message: 'exitActor() was called' }),
};

function start(actor: StartActor): void {
  const { spec, incarnation } = actor;
  const address = addressOf(configuration);
  if (spec.className === 'Broken') {
    const cause = { kind: 'constructor-failed', message: 'the constructor threw' };
    finish(actor, cause, new Uint8Array([1, 2, 3]));
    return;
  }
  actors.set(spec.actorId, actor);
  process.send?.(
    { type: 'started', actorId: spec.actorId, incarnation, address } satisfies HostToAgent,
    () => behaviours[spec.className]?.(actor),
  );
}

function finish(
  actor: StartActor,
  cause: { kind: string; message: string },
  encodedError?: Uint8Array,
): void {
  const { spec, incarnation } = actor;
  actors.delete(spec.actorId);
  send({
    type: 'ended',
    actorId: spec.actorId,
    incarnation,
    cause,
    ...(encodedError === undefined ? {} : { encodedError }),
  });
  if (spec.isolation === 'process') process.disconnect();
}

function giveBack({ spec, incarnation }: StartActor): void {
  const { actorId } = spec;
  actors.delete(actorId);
  send({ type: 'returned', actorId, incarnation, isSpent: false });
}

function addressOf(from: HostConfiguration | undefined) {
  if (from === undefined) throw new Error('a host is configured before it starts actors');
  return { processId: from.processId, nodeId: from.nodeId, machineId: from.machineId };
}

process.on('message', (message: AgentToHost) => {
  switch (message.type) {
    case 'configure':
      configuration = message.configuration;
      send({ type: 'ready', address: addressOf(configuration) });
      break;
    case 'start':
      for (const actor of message.actors) start(actor);
      break;
    case 'end': {
      const actor = actors.get(message.actorId);
      if (actor !== undefined && message.how === 'return') {
        giveBack(actor);
        return;
      }
      if (actor?.spec.className === 'Stubborn') return;
      if (actor?.incarnation === message.incarnation) finish(actor, message.cause);
      break;
    }
    case 'retire':
      // Sure to be needed once: the second time it goes.
      if (wasRetained) process.exit(0);
      wasRetained = true;
      send({ type: 'retained' });
      break;
    case 'partition':
      break;
  }
});
process.on('disconnect', () => process.exit(0));
