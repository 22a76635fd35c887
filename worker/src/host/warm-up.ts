import type { CoreProcess } from '@manta/runtime/core/core-process';
import type { MintId } from '@manta/runtime/ids';
import { RECORD } from '@manta/runtime/rpc/records';
import { PLAIN_SPEC } from '@manta/runtime/wire/plain-spec';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import type { StartActor } from './host-protocol.ts';

/** How often each of its methods is called: enough to have every function on the way compiled, a millisecond in all. */
const CALLS = 20;
/** Lives, each of a module of its own: the first sets up the engine's loader, after so many it is at speed. */
const LIVES = 4;

const CLASS_NAME = 'Practice';
/** One answers as most do, with a value that is encoded; the other with bytes, which go as they are. */
const METHODS = ['echo', 'bytes'];

/**
 * The actor that hosts practise with, as the agent would have it started.
 * @param moduleUrl Of a module that defines it as users do, with the methods above.
 */
export function practiceActor(moduleUrl: string, mintId: MintId): StartActor {
  const spec = {
    ...PLAIN_SPEC,
    actorId: mintId('actor'),
    jobId: mintId('job'),
    ownerId: mintId('process'),
    className: CLASS_NAME,
    classReference: { moduleUrl, exportKey: CLASS_NAME },
    methods: METHODS.map((name) => ({ name, stream: false })),
    namespace: 'practice',
  };
  return { spec, incarnation: 0, gpuIndexes: [] };
}

/** Where practice happens: the way of a real actor, but nobody hears of it. */
export interface Stage {
  readonly core: CoreProcess;
  readonly address: ProcessAddress;
  /** @throws Error when the actor cannot be started. */
  start(actor: StartActor): Promise<void>;
  leave(actor: StartActor): void;
  /** A real actor has come. */
  isOver(): boolean;
}

/**
 * A host that waits for its first actor practises: it starts one, opens a channel to its own socket and calls it. What
 * the engine compiles on first use is compiled then, which takes milliseconds off the creation of the actor that comes.
 */
export async function warmUp(stage: Stage, practice: StartActor): Promise<void> {
  const encodedArgs = stage.core.codec.encode([], 'practice').bytes;
  for (let life = 0; life < LIVES && !stage.isOver(); life += 1) {
    const actor = lifeOf(practice, life, encodedArgs);
    try {
      await stage.start(actor);
      if (life === LIVES - 1 && !stage.isOver()) await callEach(stage, actor);
    } finally {
      stage.leave(actor);
    }
  }
}

function lifeOf(practice: StartActor, life: number, encodedArgs: Uint8Array): StartActor {
  const { moduleUrl, exportKey } = practice.spec.classReference;
  // The last one is loaded as the module of a real actor most likely is; queries make modules of their own of the others.
  const isLast = life === LIVES - 1;
  const classReference = { moduleUrl: isLast ? moduleUrl : `${moduleUrl}?life=${life}`, exportKey };
  return { ...practice, spec: { ...practice.spec, classReference, encodedArgs } };
}

async function callEach({ core, address }: Stage, { spec }: StartActor): Promise<void> {
  const connection = await core.connect(address);
  const port = connection.openPort(spec.actorId, 0);
  for (let call = 0; call < CALLS; call += 1) {
    for (const method of METHODS.keys()) {
      await new Promise<void>((resolve) => {
        const done = (): void => resolve();
        const reply = {
          onResult: done,
          onFailure: done,
          onStream: done,
          onItem: done,
          onEnd: done,
          onLost: done,
        };
        const argument = core.codec.encode({ call }, 'practice').bytes;
        connection.channel.send([RECORD.call, port, connection.expect(reply), method, [argument]]);
      });
    }
  }
  connection.channel.close();
}
