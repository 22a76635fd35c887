/** Results that cannot be sent fail their own call, and nothing else. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { init, shutdown } from '@manta/sdk';
import { AwkwardActor, giveGetter } from './fixtures/awkward.ts';
import { failureOf } from './testing/journal.ts';

beforeAll(async () => {
  await init({ cpus: 2, logToDriver: false });
});
afterAll(() => shutdown());

const AWKWARD = [
  ['aFunction', { name: 'SerializationError', path: 'result' }],
  ['aSymbol', { name: 'SerializationError', path: 'result' }],
  ['aGetter', { name: 'TaskError', cause: { message: 'do not look' } }],
  ['aProxy', { name: 'TaskError', cause: { message: 'do not look' } }],
] as const;

it.each(['process', 'thread', 'shared'] as const)(
  'of a %s actor, while other calls run',
  async (isolation) => {
    const actor = AwkwardActor.options({ isolation }).create();
    const running = actor.linger(300);
    for (const [method, expected] of AWKWARD)
      expect(await failureOf(actor[method]())).toMatchObject(expected);
    expect(await running).toBe('lingered');
  },
);

it('of a task', async () => {
  expect(await failureOf(giveGetter())).toMatchObject({
    name: 'TaskError',
    cause: { message: 'do not look' },
  });
});

it('texts with half of a character arrive as they are', async () => {
  const actor = AwkwardActor.create();
  for (const text of ['a\ud800b', '\udc00', 'whole \u{1f600}'])
    expect(await actor.echo(text)).toBe(text);
});
