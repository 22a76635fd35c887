import type { CoreProcess } from '@manta/runtime/core/core-process';
import { RECORD } from '@manta/runtime/rpc/records';
import { systemClock } from '@manta/runtime/time/clock';
import type { ActorSpec, ProcessAddress } from '@manta/runtime/wire/messages';
import { ActorInstance } from './actor-instance.ts';
import { PLAIN_SPEC } from '@manta/runtime/wire/plain-spec';
import type { CallContext } from './call-context.ts';
import { openConstructorArguments } from './constructor-arguments.ts';

class Practice {
  ping(value: unknown): unknown {
    return value;
  }
}

/** How often it calls itself: enough to have every function on the way compiled, a millisecond in all. */
const CALLS = 20;
/** Loads of a module, each as if it were another: the first sets up the engine's loader, after so many it is at speed. */
const LOADS = 4;

/**
 * A host that waits for its first actor calls itself: it loads a module like those of users, opens a channel to its own
 * socket and runs calls through the whole way. What the engine compiles on first use is compiled then, which takes
 * several milliseconds off the creation of the actor that comes.
 */
export async function warmUp(
  core: CoreProcess,
  context: CallContext,
  address: ProcessAddress,
  house: (instance: ActorInstance) => () => void,
  loadModule: (load: number) => Promise<void>,
): Promise<void> {
  for (let load = 0; load < LOADS; load += 1) await loadModule(load);
  const spec = practiceSpec(core);
  const instance = new ActorInstance({
    spec,
    incarnation: 0,
    gpuIds: [],
    core,
    clock: systemClock,
    context,
    onEnded: () => undefined,
  });
  instance.construct(Practice, await openConstructorArguments(core, spec));
  const leave = house(instance);
  try {
    const connection = await core.connect(address);
    const port = connection.openPort(spec.actorId, 0);
    for (let call = 0; call < CALLS; call += 1) {
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
        connection.channel.send([RECORD.call, port, connection.expect(reply), 0, [argument]]);
      });
    }
    connection.channel.close();
  } finally {
    leave();
  }
}

function practiceSpec(core: CoreProcess): ActorSpec {
  return {
    ...PLAIN_SPEC,
    actorId: core.options.mintId('actor'),
    jobId: core.options.mintId('job'),
    ownerId: core.processId,
    className: Practice.name,
    classReference: { moduleUrl: import.meta.url, exportKey: Practice.name },
    methods: [{ name: 'ping', stream: false }],
    namespace: 'practice',
    encodedArgs: core.codec.encode([], 'practice').bytes,
  };
}
