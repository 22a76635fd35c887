import { ActorUnavailableError, TaskError } from '@manta/sdk';
import { describe, expect, test } from 'vitest';
import { Replicas } from './replicas.ts';

/** Handles are their own numbers: 1, 2, 3 in the order of creation. */
function numbered(count: number): Replicas<number> {
  let last = 0;
  const replicas = new Replicas(() => (last += 1));
  for (let index = 0; index < count; index += 1) replicas.add().healthy = true;
  return replicas;
}

const gone = (): Error => new ActorUnavailableError('gone');

describe('a call', () => {
  test('goes to the replica with the fewest running calls', async () => {
    const replicas = numbered(3);
    const used: number[] = [];
    const finish: (() => void)[] = [];
    const held = (handle: number): Promise<void> => {
      used.push(handle);
      return new Promise((resolve) => finish.push(resolve));
    };
    const calls = Array.from({ length: 4 }, () => replicas.call(held));
    expect(used).toEqual([1, 2, 3, 1]);
    finish[1]?.();
    await calls[1];
    calls.push(replicas.call(held));
    expect(used.at(-1)).toBe(2);
    for (const resolve of finish) resolve();
    await Promise.all(calls);
    expect(replicas.list().map((replica) => replica.ongoing)).toEqual([0, 0, 0]);
  });

  test('moves on when its replica is gone, and later calls avoid that one', async () => {
    const replicas = numbered(2);
    const used: number[] = [];
    const work = (handle: number): Promise<number> => {
      used.push(handle);
      return handle === 1 ? Promise.reject(gone()) : Promise.resolve(handle);
    };
    expect(await replicas.call(work)).toBe(2);
    expect(await replicas.call(work)).toBe(2);
    expect(used).toEqual([1, 2, 2]);
  });

  test('is tried three times and not more', async () => {
    let attempts = 0;
    const call = numbered(1).call(() => {
      attempts += 1;
      return Promise.reject(gone());
    });
    await expect(call).rejects.toThrow('gone');
    expect(attempts).toBe(3);
  });

  test('that fails by itself is not repeated', async () => {
    let attempts = 0;
    const call = numbered(2).call(() => {
      attempts += 1;
      return Promise.reject(new TaskError('bad input', { cause: undefined, method: 'embed' }));
    });
    await expect(call).rejects.toThrow('bad input');
    expect(attempts).toBe(1);
  });

  test('without any replica is refused as unavailable', async () => {
    await expect(numbered(0).call(() => Promise.resolve())).rejects.toMatchObject({
      name: 'ActorUnavailableError',
    });
  });
});

describe('a stream', () => {
  const read = async (stream: AsyncIterable<string>): Promise<string[]> => {
    const values: string[] = [];
    for await (const value of stream) values.push(value);
    return values;
  };

  test('that fails before its first value moves on', async () => {
    const stream = numbered(2).stream(async function* (handle) {
      if (handle === 1) throw gone();
      yield `from ${handle}`;
    });
    expect(await read(stream)).toEqual(['from 2']);
  });

  test('that fails after it reports the failure', async () => {
    const values: string[] = [];
    const stream = numbered(2).stream(async function* () {
      yield 'first';
      throw gone();
    });
    const reading = async (): Promise<void> => {
      for await (const value of stream) values.push(value);
    };
    await expect(reading()).rejects.toThrow('gone');
    expect(values).toEqual(['first']);
  });

  test('that is left frees its replica', async () => {
    const replicas = numbered(1);
    let left = false;
    const stream = replicas.stream(async function* () {
      try {
        for (;;) yield 'more';
      } finally {
        left = true;
      }
    });
    for await (const value of stream) {
      expect(value).toBe('more');
      break;
    }
    expect(left).toBe(true);
    expect(replicas.list()[0]?.ongoing).toBe(0);
  });
});

test('a dead replica is replaced by a new one that is not healthy yet', () => {
  const replicas = numbered(1);
  const [dead] = replicas.list();
  const fresh = replicas.replace(dead!);
  expect(fresh.handle).toBe(2);
  expect(replicas.list()).toEqual([fresh]);
  expect(replicas.healthy).toBe(false);
});
