import { ActorNotFoundError, InvalidArgumentError } from '@manta/runtime/errors/errors';
import { parseId } from '@manta/runtime/ids';
import type { ActorInfo } from '@manta/runtime/wire/state-messages';
import type { ControlClient } from './control-client.ts';

/**
 * The one actor of this name. Names belong to a namespace; without one given, a name that only one namespace holds
 * is enough.
 * @throws ActorNotFoundError, or InvalidArgumentError when several namespaces hold the name.
 */
export async function actorByName(
  client: ControlClient,
  name: string,
  namespace?: string,
): Promise<ActorInfo> {
  const named = await client.allActors({ name, ...(namespace !== undefined && { namespace }) });
  const found = named.filter((actor) => actor.state !== 'dead');
  const [first, ...others] = found;
  if (!first) {
    const where = namespace === undefined ? '' : ` in namespace "${namespace}"`;
    throw new ActorNotFoundError(`there is no living actor called "${name}"${where}`);
  }
  if (others.length > 0) {
    const namespaces = found.map((actor) => actor.namespace).join(', ');
    throw new InvalidArgumentError(
      `several namespaces have an actor called "${name}" (${namespaces}): say which with --namespace`,
    );
  }
  return first;
}

/** By id, dead or alive, else by name. */
export async function actorByIdOrName(client: ControlClient, text: string): Promise<ActorInfo> {
  if (parseId('actor', text) === undefined) return actorByName(client, text);
  for await (const actor of client.actors()) if (actor.actorId === text) return actor;
  throw new ActorNotFoundError(
    `the cluster has no actor ${text}: it never had it, or forgot it after its death`,
  );
}
