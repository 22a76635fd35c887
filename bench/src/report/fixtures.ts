import type { Report, Row } from './report.ts';

/** A report as a run would give it, for the tests of what is made of it. */
const rows: Row[] = [
  {
    suite: 'core',
    name: '1_1_actor_calls_sync',
    unit: 'call/s',
    value: 12_000,
    sd: 300,
    limit: { name: 'raw_echo_sync', value: 15_000, sd: 200 },
    peers: {
      ray: { value: 1_250, sd: 20, version: '2.60.0' },
      moleculer: { value: 12_500, sd: 150, version: '0.14.36' },
    },
  },
  {
    suite: 'core',
    name: '1_1_actor_calls_async',
    unit: 'call/s',
    value: 900_000,
    sd: 20_000,
    limit: { name: 'raw_echo_batched', value: 1_700_000 },
    peers: { ray: { value: 6_000, sd: 100, version: '2.60.0' } },
  },
  {
    suite: 'core',
    name: 'actor_create_to_first_answer',
    unit: 'ms',
    value: 8.25,
    sd: 1.5,
    peers: { ray: { value: 429, version: '2.60.0' } },
  },
];

export const sampleReport: Report = {
  machine: {
    cpu: 'Processor <X> & Co',
    cores: 2,
    memoryBytes: 24 * 2 ** 30,
    platform: 'linux x64 6.1',
    nodeVersion: 'v20.19.0',
    date: '2026-01-02T03:04:05.000Z',
  },
  quick: false,
  steadiness: [
    { when: 'before', syncPerSecond: 15_000, batchedPerSecond: 1_700_000 },
    { when: 'after core', syncPerSecond: 14_000, batchedPerSecond: 1_650_000 },
  ],
  rows,
};
