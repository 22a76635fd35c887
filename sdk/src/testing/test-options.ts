import {
  CAPACITY_RULES,
  checkOptions,
  isText,
  isWhole,
  oneOf,
  recordOf,
  type Rules,
} from '../actor-options.ts';
import type { ResourceAmounts } from '../types.ts';

export interface TestNodeOptions extends ResourceAmounts {
  labels?: Record<string, string>;
  objectStoreBytes?: number;
  /** It takes itself for a machine of this name: others reach it over TCP, and its memory not at all. */
  machine?: string;
}

export interface TestClusterOptions {
  /** Default: one node with 4 CPUs. */
  nodes?: TestNodeOptions[];
  /** 'embedded' (default): the broker in the head. 'server': a nats-server of its own (MANTA_NATS_SERVER, else PATH). */
  nats?: 'embedded' | 'server';
  /** How long until a silent node is dead; default as in production. */
  failureDetectionMs?: number;
}

const CLUSTER_RULES: Rules<TestClusterOptions> = {
  nodes: [Array.isArray, 'a list of nodes'],
  nats: [oneOf('embedded', 'server'), "'embedded' or 'server'"],
  failureDetectionMs: [isWhole, 'a whole number of milliseconds'],
};

const NODE_RULES: Rules<TestNodeOptions> = {
  ...CAPACITY_RULES,
  labels: [recordOf(isText), 'a record of texts'],
  objectStoreBytes: [isWhole, 'a whole number of bytes'],
  machine: [isText, 'a name'],
};

/** @throws InvalidArgumentError naming the option that is wrong, and what it must be. */
export function checkClusterOptions(options: TestClusterOptions): void {
  checkOptions(options, CLUSTER_RULES, 'test cluster');
  for (const node of options.nodes ?? []) checkNodeOptions(node);
}

/** @throws InvalidArgumentError naming the option that is wrong, and what it must be. */
export function checkNodeOptions(options: TestNodeOptions): void {
  checkOptions(options, NODE_RULES, 'test node');
}
