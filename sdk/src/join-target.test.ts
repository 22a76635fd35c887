import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeSession } from '@manta/runtime/session/session-file';
import { joinTarget } from './join-target.ts';
import type { InitOptions } from './types.ts';

const session = { address: 'nats://10.0.0.5:4222', token: 'of-session', pids: { nodes: [] } };
let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'manta-join-'));
  await writeSession({ ...session, startedAt: 1 }, home);
});
afterEach(() => rm(home, { recursive: true }));

const target = (options: InitOptions, environment: NodeJS.ProcessEnv = {}) =>
  joinTarget(options, { MANTA_HOME: home, ...environment });

describe('the cluster that init() joins', () => {
  it('is none without an address, whatever the amounts', async () => {
    expect(await target({ cpus: 4, gpus: 1 })).toBeUndefined();
  });

  it('is that of the session with its token, by name or by its address', async () => {
    const joined = { url: session.address, token: 'of-session' };
    expect(await target({ address: 'auto' })).toEqual(joined);
    expect(await target({ address: 'nats://10.0.0.5' })).toEqual(joined);
    expect(await target({}, { MANTA_ADDRESS: session.address })).toEqual(joined);
  });

  it('does not get the token of another one', async () => {
    await expect(target({ address: 'nats://10.0.0.6:4222' })).rejects.toMatchObject({
      name: 'AuthenticationError',
      message: expect.stringMatching(/^No token for nats:\/\/10\.0\.0\.6:4222: .*MANTA_TOKEN/),
    });
  });

  it('takes the token of the option, then that in the address, then MANTA_TOKEN, then that of the session', async () => {
    const environment = { MANTA_TOKEN: 'of-environment' };
    const token = async (options: InitOptions) => (await target(options, environment))?.token;
    const address = 'nats://inside@10.0.0.5:4222';
    expect(await token({ address, token: 'given' })).toBe('given');
    expect(await token({ address })).toBe('inside');
    expect(await token({ address: session.address })).toBe('of-environment');
  });

  it.each<[string, InitOptions]>([
    ['cpus', { cpus: 4 }],
    ['gpus', { gpus: 0 }],
    ['memoryBytes', { memoryBytes: 2 ** 30 }],
    ['resources', { resources: { disk: 1 } }],
  ])('has its nodes already: %s is refused', async (name, amounts) => {
    const refusal = {
      name: 'InvalidArgumentError',
      message: expect.stringMatching(new RegExp(`Init option ${name} .*manta start`)),
    };
    await expect(target({ address: 'auto', ...amounts })).rejects.toMatchObject(refusal);
    const elsewhere = { MANTA_ADDRESS: 'nats://secret@10.0.0.6:4222' };
    const failure = target(amounts, elsewhere);
    await expect(failure).rejects.toMatchObject(refusal);
    await expect(failure).rejects.not.toThrow(/secret/);
  });
});
