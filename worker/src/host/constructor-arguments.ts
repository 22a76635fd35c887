import type { CoreProcess } from '@manta/runtime/core/core-process';
import type { ActorSpec } from '@manta/runtime/wire/messages';

/**
 * The arguments that the constructor is called with: large ones are read in place, and brought to this node before.
 * @throws OwnerDiedError, ObjectLostError and what else a ref among them fails with.
 */
export async function openConstructorArguments(
  core: CoreProcess,
  { encodedArgs, openedArgs = [] }: ActorSpec,
): Promise<unknown[]> {
  const args = core.codec.decode(encodedArgs) as unknown[];
  const opened = await Promise.all(openedArgs.map((index) => args[index]));
  openedArgs.forEach((index, at) => (args[index] = opened[at]));
  return args;
}
