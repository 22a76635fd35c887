import type { CoreProcess } from '@manta/runtime/core/core-process';
import type { ActorSpec } from '@manta/runtime/wire/messages';

/**
 * The arguments that the constructor is called with: large ones are read in place, and brought to this node before.
 * @throws OwnerDiedError, ObjectLostError and what else a ref among them fails with.
 */
export async function openConstructorArguments(
  core: CoreProcess,
  { encodedArgs, openedArgs = [], ownerId, maxRestarts }: ActorSpec,
): Promise<unknown[]> {
  const decode = (): unknown[] => core.codec.decode(encodedArgs) as unknown[];
  // Without restarts the creator counts this process as soon as it hears that the actor lives (ConstructorPins).
  const args = maxRestarts === 0 ? core.objects.receivingFrom(ownerId, decode) : decode();
  const opened = await Promise.all(openedArgs.map((index) => args[index]));
  openedArgs.forEach((index, at) => (args[index] = opened[at]));
  return args;
}
