import { fork } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createIdMint } from '@manta/runtime/ids';
import { createValueCodec } from '@manta/runtime/serialization/value-codec';
import { afterAll, expect, it } from 'vitest';
import type { AgentToHost, HostConfiguration } from './host-protocol.ts';
import { practiceActor } from './warm-up.ts';

const HOST = new URL('../../dist/host/host-main.js', import.meta.url).pathname;
const mintId = createIdMint((bytes) => randomFillSync(bytes));
const directory = mkdtempSync(join(tmpdir(), 'manta-practice-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Defines an actor as the SDK does, and tells the agent, which is this test, what becomes of it. */
const module = `
  const host = globalThis[Symbol.for('manta.host-context')];
  class Practice {
    constructor() { process.send({ type: 'life', of: import.meta.url.split('/').at(-1) }); }
    echo() { process.send({ type: 'echo' }); }
    bytes() { process.send({ type: 'bytes' }); return Buffer.from('pong'); }
  }
  host.define(import.meta.url, 'Practice', Practice);`;

it('a host that waits practises the way of an actor, and its agent hears only of the real one', async () => {
  const file = join(directory, 'practice.mjs');
  writeFileSync(file, module);
  const practice = practiceActor(pathToFileURL(file).href, mintId);
  const host = fork(HOST, [], { serialization: 'advanced' });
  const heard: { type: string; of?: string; actorId?: string }[] = [];
  host.on('message', (message) => void heard.push(message as never));
  const send = (message: AgentToHost): void => void host.send(message);
  send({ type: 'configure', configuration: configuration(practice) });
  const count = (type: string): number => heard.filter((message) => message.type === type).length;
  await expect.poll(() => [count('echo'), count('bytes')], { timeout: 10_000 }).toEqual([20, 20]);
  expect(heard.filter(({ type }) => type === 'life').map(({ of }) => of)).toEqual(
    ['?life=0', '?life=1', '?life=2', ''].map((query) => `practice.mjs${query}`),
  );
  const realFile = join(directory, 'real.mjs');
  writeFileSync(realFile, module);
  const real = practiceActor(pathToFileURL(realFile).href, mintId);
  const encodedArgs = createValueCodec({ revive: () => undefined }).encode([], 'args').bytes;
  send({ type: 'start', actors: [{ ...real, spec: { ...real.spec, encodedArgs } }] });
  await expect.poll(() => count('started'), { timeout: 10_000 }).toBe(1);
  const others = heard.filter(({ type }) => !['life', 'echo', 'bytes'].includes(type));
  expect(others.map(({ type, actorId }) => [type, actorId])).toEqual([
    ['ready', undefined],
    ['started', real.spec.actorId],
  ]);
  host.kill('SIGKILL');
});

function configuration(practice: HostConfiguration['practice'] & object): HostConfiguration {
  return {
    clusterId: mintId('cluster'),
    nodeId: mintId('node'),
    processId: mintId('process'),
    machineId: 'machine',
    isolation: 'process',
    agent: { processId: mintId('process'), machineId: 'machine' },
    storePlace: { directory },
    socketDirectory: directory,
    moduleCacheDirectory: directory,
    token: 'a token of a test',
    practice,
    brokerAddress: 'nats://127.0.0.1:1',
  };
}
