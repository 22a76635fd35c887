import { randomFillSync } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { DeathCause } from '@manta/runtime/errors/death-cause';
import { createIdMint } from '@manta/runtime/ids';
import type { AgentToHost, HostConfiguration, HostToAgent, StartActor } from './host-protocol.ts';

interface ActorThread {
  worker: Worker;
  actor: StartActor;
  /** Already reported: the thread's exit is no news. */
  ended: boolean;
}

const mintId = createIdMint((bytes) => randomFillSync(bytes));

/** Runs each of its actors in a worker thread: a crash takes one actor with it, not the process. */
export class ThreadSupervisor {
  readonly #configuration: HostConfiguration;
  readonly #send: (message: HostToAgent) => void;
  readonly #threads = new Map<string, ActorThread>();

  constructor(configuration: HostConfiguration, send: (message: HostToAgent) => void) {
    this.#configuration = configuration;
    this.#send = send;
    const { processId, nodeId, machineId } = configuration;
    send({
      type: 'ready',
      address: { processId, nodeId, machineId, socketPath: undefined, tcp: undefined },
    });
  }

  start(actor: StartActor): Promise<void> {
    const { spec, gpuIndexes } = actor;
    const memoryBytes = spec.demand.resources.memoryBytes;
    const configuration: HostConfiguration = {
      ...this.#configuration,
      processId: mintId('process'),
    };
    const worker = new Worker(new URL('./thread-main.js', import.meta.url), {
      workerData: configuration,
      env: { ...process.env, CUDA_VISIBLE_DEVICES: gpuIndexes.join(','), ...spec.env },
      ...(memoryBytes === undefined
        ? {}
        : { resourceLimits: { maxOldGenerationSizeMb: memoryBytes / 2 ** 20 } }),
    });
    const thread: ActorThread = { worker, actor, ended: false };
    this.#threads.set(spec.actorId, thread);
    worker.on('message', (message: HostToAgent) => this.#onMessage(thread, message));
    worker.on('error', (error) => this.#onEnd(thread, crashOf(error)));
    worker.on('exit', (exitCode) =>
      this.#onEnd(thread, {
        kind: 'process-died',
        message: `Its worker thread exited with code ${exitCode}.`,
        exitCode,
      }),
    );
    return Promise.resolve();
  }

  #onMessage(thread: ActorThread, message: HostToAgent): void {
    if (message.type === 'ready') {
      thread.worker.postMessage({ type: 'start', actors: [thread.actor] } satisfies AgentToHost);
      return;
    }
    this.#send(message);
    if (message.type === 'ended') {
      this.#forget(thread);
      void thread.worker.terminate();
    }
  }

  #onEnd(thread: ActorThread, cause: DeathCause): void {
    if (thread.ended) return;
    this.#forget(thread);
    const { spec, incarnation } = thread.actor;
    this.#send({ type: 'ended', actorId: spec.actorId, incarnation, cause });
  }

  #forget(thread: ActorThread): void {
    thread.ended = true;
    const { actorId } = thread.actor.spec;
    if (this.#threads.get(actorId) === thread) this.#threads.delete(actorId);
  }

  end(message: Extract<AgentToHost, { type: 'end' }>): void {
    const thread = this.#threads.get(message.actorId);
    if (thread === undefined || thread.actor.incarnation !== message.incarnation) return;
    if (message.how === 'stop') {
      thread.worker.postMessage(message);
      return;
    }
    this.#onEnd(thread, message.cause);
    void thread.worker.terminate();
  }

  mayRetire(): Promise<boolean> {
    return Promise.resolve(false);
  }

  partition(on: boolean): void {
    for (const { worker } of this.#threads.values())
      worker.postMessage({ type: 'partition', on } satisfies AgentToHost);
  }
}

function crashOf(error: Error & { code?: string }): DeathCause {
  if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return { kind: 'out-of-memory', message: 'Its worker thread reached its memory limit.' };
  }
  return {
    kind: 'process-died',
    message: `Its worker thread crashed: ${error.message}`,
    exitCode: 1,
  };
}
