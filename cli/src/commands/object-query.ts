import type { Command } from 'commander';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import { parseId } from '@manta/runtime/ids';
import { objectsOf } from '@manta/runtime/state/ask-nodes';
import type { ClusterObject, ClusterObjects } from '@manta/runtime/state/cluster-objects';
import {
  selectObjects,
  SORT_KEYS,
  sortObjects,
  type ObjectFilter,
  type ObjectSort,
} from '@manta/runtime/state/object-selection';
import { LIMITS } from '@manta/runtime/wire/limits';
import { parseBytes, parseInteger } from '../amounts.ts';
import type { ControlClient } from '../control-client.ts';
import type { CommonOptions } from '../options.ts';

export interface ObjectOptions extends CommonOptions {
  state?: string;
  where?: string;
  node?: string;
  owner?: string;
  holder?: string;
  minSize?: string;
  sort: string;
  limit: string;
  collect?: boolean;
}

const STATES = ['pending', 'ready', 'failed', 'lost', 'freed', 'unknown'] as const;
const PLACES = ['heap', 'memory', 'spilled'] as const;
const LIMIT_DEFAULT = '20';

/** What `manta memory` and `manta list objects` take alike. */
export function withObjectOptions(command: Command): Command {
  return command
    .option('--sort <key>', SORT_KEYS.join(', '), 'size')
    .option('--limit <rows>', `objects shown, at most ${LIMITS.objectRows}`, LIMIT_DEFAULT)
    .option(
      '--collect',
      'have all processes collect garbage first: what is shown then is really held',
    )
    .option('--state <state>', STATES.join(', '))
    .option('--where <place>', `${PLACES.join(', ')}`)
    .option('--node <id>', 'only those whose bytes, or whose owner, are on this node (id or name)')
    .option('--owner <id>', 'only those of this process')
    .option('--holder <id>', 'only those that this process or actor holds')
    .option('--min-size <bytes>', 'only those from this size on, for example 1MiB');
}

export interface FoundObjects extends ClusterObjects {
  /** Those that match, in the order asked for. */
  matching: ClusterObject[];
  /** The first of them. */
  shown: ClusterObject[];
}

export interface ObjectQuery {
  limit: number;
  sort: ObjectSort;
  filter: ObjectFilter;
  /** Id or name of a node. */
  node: string | undefined;
  collectGarbage: boolean;
}

/** @throws InvalidArgumentError that names the option. */
export function readQuery(options: ObjectOptions): ObjectQuery {
  return {
    limit: parseInteger('--limit', options.limit, LIMITS.objectRows),
    sort: oneOf('--sort', options.sort, SORT_KEYS) ?? 'size',
    filter: readFilter(options),
    node: options.node,
    collectGarbage: options.collect === true,
  };
}

/** @throws InvalidArgumentError when the cluster has no such node. */
export async function findObjects(
  client: ControlClient,
  { limit, sort, filter, node: wanted, collectGarbage }: ObjectQuery,
): Promise<FoundObjects> {
  const cluster = await client.asked();
  const node = cluster.nodes.find(({ nodeId, name }) => nodeId === wanted || name === wanted);
  if (wanted !== undefined && node === undefined) {
    const known = cluster.nodes.map(({ name }) => name).join(', ');
    throw new InvalidArgumentError(`--node: the cluster has no node "${wanted}": ${known}`);
  }
  const found = await objectsOf(cluster, { limit: LIMITS.objectRows, collectGarbage });
  const onNode = node === undefined ? filter : { ...filter, nodeId: node.nodeId };
  const matching = sortObjects(selectObjects(found.objects, onNode), sort);
  return { ...found, matching, shown: matching.slice(0, limit) };
}

function readFilter({ state, where, owner, holder, minSize }: ObjectOptions): ObjectFilter {
  if (owner !== undefined && parseId('process', owner) === undefined)
    throw new InvalidArgumentError(`--owner: "${owner}" is no id of a process (p_…)`);
  const isHolder = [parseId('process', holder), parseId('actor', holder)].some(Boolean);
  if (holder !== undefined && !isHolder)
    throw new InvalidArgumentError(
      `--holder: "${holder}" is no id of a process (p_…) or an actor (a_…)`,
    );
  const filter: ObjectFilter = {};
  const wantedState = oneOf('--state', state, STATES);
  const wantedPlace = oneOf('--where', where, PLACES);
  if (wantedState !== undefined) filter.state = wantedState;
  if (wantedPlace !== undefined) filter.where = wantedPlace;
  if (owner !== undefined) filter.ownerId = owner;
  if (holder !== undefined) filter.holderId = holder;
  if (minSize !== undefined) filter.minBytes = parseBytes('--min-size', minSize);
  return filter;
}

/** @throws InvalidArgumentError that names the option. */
export function oneOf<T extends string>(
  option: string,
  text: string | undefined,
  allowed: readonly T[],
): T | undefined {
  const found = allowed.find((entry) => entry === text);
  if (text !== undefined && found === undefined)
    throw new InvalidArgumentError(`${option}: "${text}" is none of ${allowed.join(', ')}`);
  return found;
}
