import { type Row, ratioTo } from './report.ts';

/** What the project promises, each a ratio within one run or a bound in the row's own unit. */
export interface Goal {
  /** At least this share of the limit. */
  limitShare?: number;
  /** At least so many times better than the peer. */
  peers?: Record<string, number>;
  /** At least this share of another row of ours. */
  ofRow?: { name: string; share: number };
  /** At most, in the row's unit. */
  atMost?: number;
}

export const goals: Readonly<Record<string, Goal>> = {
  '1_1_actor_calls_sync': { limitShare: 0.75, peers: { ray: 8, moleculer: 1.2 } },
  '1_1_actor_calls_async': { limitShare: 0.45, peers: { ray: 100, moleculer: 10 } },
  n_n_actor_calls_async: { peers: { ray: 80 } },
  ...Object.fromEntries(
    [
      '1_1_async_actor_calls_sync',
      '1_1_async_actor_calls_async',
      '1_n_async_actor_calls_async',
      'n_n_async_actor_calls_async',
    ].map((name) => [name, { ofRow: { name: name.replace('async_actor', 'actor'), share: 0.9 } }]),
  ),
  actor_create_to_first_answer: { atMost: 10 },
  shared_actor_create_to_first_answer: { atMost: 3 },
  '40_actors_at_once': { peers: { ray: 6 } },
  '100k_shared_actors_memory': { atMost: 2048 },
  init_private_cluster: { atMost: 500 },
  single_client_put_calls: { peers: { ray: 50 } },
  single_client_get_calls: { peers: { ray: 20 } },
  single_client_put_gigabytes: { limitShare: 0.8, peers: { ray: 1.2 } },
  single_client_put_gigabytes_of_real_data: { limitShare: 0.8 },
  multi_client_put_gigabytes: { peers: { ray: 1.2 } },
  get_1_gib_array: { atMost: 1 },
  single_client_get_object_containing_10k_refs: { peers: { ray: 5 } },
  n_n_actor_calls_with_arg_async: { peers: { ray: 50 } },
  single_client_wait_1k_refs: { peers: { ray: 20 } },
  single_client_tasks_sync: { peers: { ray: 8 } },
  single_client_tasks_async: { peers: { ray: 30, piscina: 2 } },
  multi_client_tasks_async: { peers: { ray: 30 } },
  '1000000_queued': { peers: { ray: 30 } },
  '1000000_queued_driver_memory': { atMost: 2048 },
  '1000000_queued_head_memory': { atMost: 2048 },
  '10000_args_time': { peers: { ray: 50 } },
  '3000_returns_time': { peers: { ray: 1 } },
  gateway_embeddings_added_p50: { atMost: 1 },
  gateway_embeddings_added_p99: { atMost: 3 },
};

export interface Verdict {
  text: string;
  met: boolean;
}

/** One verdict per part of the row's goal that this run can judge (a peer or a row that did not run gives none). */
export function judge(row: Row, rows: readonly Row[]): Verdict[] {
  const goal = goals[row.name];
  if (goal === undefined) return [];
  const verdicts: Verdict[] = [];
  if (goal.limitShare !== undefined && row.limit !== undefined) {
    const met = ratioTo(row, row.limit.value) >= goal.limitShare;
    verdicts.push({ text: `limit ≥ ${goal.limitShare}×`, met });
  }
  for (const [peer, factor] of Object.entries(goal.peers ?? {})) {
    const theirs = row.peers[peer];
    if (theirs === undefined) continue;
    verdicts.push({ text: `${peer} ≥ ${factor}×`, met: ratioTo(row, theirs.value) >= factor });
  }
  const other = rows.find(({ name }) => name === goal.ofRow?.name);
  if (goal.ofRow !== undefined && other !== undefined) {
    const met = ratioTo(row, other.value) >= goal.ofRow.share;
    verdicts.push({ text: `${other.name} ≥ ${goal.ofRow.share}×`, met });
  }
  if (goal.atMost !== undefined) {
    verdicts.push({ text: `≤ ${goal.atMost} ${row.unit}`, met: row.value <= goal.atMost });
  }
  return verdicts;
}
