import type { ActorSpec } from './messages.ts';

/** What a specification says where nothing is asked for. */
export const PLAIN_SPEC = {
  methods: [],
  encodedArgs: new Uint8Array(),
  lifetime: 'job',
  isolation: 'process',
  maxRestarts: 0,
  maxTaskRetries: 0,
  maxConcurrency: 1,
  gracefulShutdownMs: 0,
  demand: { resources: {} },
} satisfies Partial<ActorSpec>;
