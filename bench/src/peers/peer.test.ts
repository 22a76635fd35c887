import { describe, expect, test } from 'vitest';
import { parsePeerReport, requirePeers } from './peer.ts';

const report = { version: '2.60.0', rows: { tasks: { value: 1, sd: 0.5, unit: 'task/s' } } };

describe("a peer's report", () => {
  test('is the last line of what it printed', () => {
    expect(parsePeerReport('ray', `started\n${JSON.stringify(report)}\n`)).toEqual(report);
  });

  test.each([
    ['no JSON', 'Segmentation fault'],
    ['nothing', ''],
    ['another shape', '{"version":1}'],
    ['a row without figures', '{"version":"1","rows":{"tasks":{"value":"fast"}}}'],
  ])('%s is refused by name', (_, output) => {
    expect(() => parsePeerReport('ray', output)).toThrow(/^ray (did not )?end/);
  });
});

test('an unknown peer is refused before anything runs', () => {
  expect(() => requirePeers(['erlang'])).toThrow(
    'No peer "erlang"; there are: ray, moleculer, piscina.',
  );
});
