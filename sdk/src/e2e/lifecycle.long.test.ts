import { readdirSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { init, isInitialized, listNodes, shutdown } from '@manta/sdk';
import { startTestCluster } from '@manta/sdk/testing';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { alive, processTree, sessionsOf } from './fixtures/process-tree.ts';
import { ProgramDirectory, type RunningProgram } from './fixtures/program-directory.ts';

const directory = new ProgramDirectory();
afterAll(() => directory.remove());

const HEAD = `import { defineActor, init, isInitialized, kill, listNodes, put, shutdown } from '@manta/sdk';
import { spawn } from 'node:child_process';
class Greeter {
  greet(name) { return 'hello ' + name; }
  /** A child that ignores the end of its parent. */
  spawn() { return spawn('sleep', ['1000'], { stdio: 'ignore' }).pid; }
}
const GreeterActor = defineActor(import.meta, Greeter);
`;
const START = `await init({ logToDriver: false });
const greeters = ['process', 'thread', 'shared'].map((isolation) => GreeterActor.options({ isolation }).create());
await Promise.all(greeters.map((greeter) => greeter.greet('you')));
await greeters[0].spawn();
console.log('ready');
`;

/** Sockets in the sessions of this process that nobody listens on. */
async function deadSockets(): Promise<string[]> {
  const paths = sessionsOf(process.pid).flatMap((session) =>
    readdirSync(session, { recursive: true }).map((name) => join(session, String(name))),
  );
  const dead: string[] = [];
  for (const path of paths.filter((name) => name.endsWith('.sock'))) {
    await new Promise<void>((resolve) => {
      const socket = connect(path, () => resolve(void socket.destroy()));
      socket.once('error', () => resolve(void dead.push(path)));
    });
  }
  return dead;
}

let programs = 0;
function start(body: string, env: Record<string, string> = {}): RunningProgram {
  programs += 1;
  const name = `program-${programs}.mjs`;
  directory.write({ [name]: HEAD + body });
  return directory.start(name, env);
}

/** All processes and session directories of a program that says when it is ready. */
async function footprint(program: RunningProgram): Promise<{ pids: number[]; sessions: string[] }> {
  await waitFor(() => program.stdout.includes('ready'), {
    describe: 'a program that is ready',
    timeoutMs: 20_000,
  });
  const found = { pids: processTree(program.pid), sessions: sessionsOf(program.pid) };
  // The driver, the cluster, a host per isolation, and the child.
  expect(found.pids.length).toBeGreaterThanOrEqual(6);
  expect(found.sessions).toHaveLength(1);
  return found;
}

async function expectNothingLeft(
  { pids }: { pids: number[] },
  program: RunningProgram,
): Promise<void> {
  await waitFor(() => alive(pids).length === 0 && sessionsOf(program.pid).length === 0, {
    describe: 'the end of all processes and files',
    timeoutMs: 15_000,
  });
}

describe('a private cluster leaves nothing behind', () => {
  it('after shutdown()', async () => {
    const program = start(`${START} setTimeout(async () => {
      await shutdown();
      process.stdout.write(isInitialized() ? 'still there' : 'shut down');
    }, 300);`);
    const left = await footprint(program);
    const ended = await program.ended;
    expect(ended).toMatchObject({ exitCode: 0, stdout: 'ready\nshut down', stderr: '' });
    // Not soon after: shutdown() has waited for it.
    expect(alive(left.pids)).toEqual([]);
    expect(sessionsOf(program.pid)).toEqual([]);
  });

  it.each([
    ['the end of a program that forgot shutdown()', `setTimeout(() => undefined, 300);`, 0],
    ['process.exit()', `setTimeout(() => process.exit(7), 300);`, 7],
    ['an uncaught exception', `setTimeout(() => { throw new Error('surprise'); }, 300);`, 1],
  ])('after %s', async (_what, body, exitCode) => {
    const program = start(START + body);
    const left = await footprint(program);
    expect(await program.ended).toMatchObject({ exitCode });
    await expectNothingLeft(left, program);
  });

  it('after kill -9 of the driver, also of one that is busy', async () => {
    const [idle, busy] = [
      start(`${START} setInterval(() => undefined, 1000);`),
      start(`${START} for (;;);`),
    ];
    for (const program of [idle, busy]) {
      const left = await footprint(program);
      program.kill('SIGKILL');
      expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
      await expectNothingLeft(left, program);
    }
  });

  it.each([0, 40, 80, 120])(
    'after kill -9 while it starts, %i ms after its cluster process',
    async (delayMs) => {
      const program = start(`init(); process.stdout.write('starting');`);
      await waitFor(() => processTree(program.pid).length > 1, {
        describe: 'the cluster process',
        intervalMs: 1,
      });
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      const pids = processTree(program.pid);
      program.kill('SIGKILL');
      await program.ended;
      await expectNothingLeft({ pids }, program);
    },
  );
});

describe('a program ends when its work is done', () => {
  it('not before calls, requests and timers have ended, and then by itself', async () => {
    const program = start(`await init({ logToDriver: false });
      const greeter = GreeterActor.create();
      console.log(await greeter.greet('you'));
      listNodes().then((nodes) => console.log(nodes.length + ' node'));
      greeter.greet('again').then((text) => { console.log(text); setTimeout(() => console.log('done'), 50); });
      put({ unused: true });`);
    const { exitCode, stdout } = await program.ended;
    expect({ exitCode, lines: stdout.split('\n').sort() }).toEqual({
      exitCode: 0,
      lines: ['', '1 node', 'done', 'hello again', 'hello you'],
    });
  });

  it('init() can be called again after shutdown(), not before', async () => {
    const program = start(`console.log(isInitialized());
      const first = await init({ logToDriver: false });
      console.log(await init().catch((error) => error.name + ': ' + error.message));
      await shutdown(); await shutdown();
      const [second] = await Promise.allSettled([init({ logToDriver: false }), init()]);
      console.log(second.status, first.clusterId !== second.value.clusterId, isInitialized());
      console.log(await GreeterActor.create().greet('again'));`);
    expect(await program.ended).toMatchObject({
      exitCode: 0,
      stdout: `false\nInvalidArgumentError: init() was called twice; call \`await shutdown()\` in between.\nfulfilled true true\nhello again\n`,
    });
  });
});

describe('addresses and tokens', () => {
  it('joins by address with token, by MANTA_ADDRESS and MANTA_TOKEN, and leaves no socket', async () => {
    const cluster = await startTestCluster();
    onTestFinished(() => cluster[Symbol.asyncDispose]());
    const address = new URL(cluster.address);
    const token = address.password === '' ? address.username : address.password;
    const bare = `nats://${address.host}`;
    const body = `console.log((await init({ logToDriver: false })).address);
      console.log(await GreeterActor.create().greet('you'));`;
    for (const env of [
      { MANTA_ADDRESS: cluster.address },
      { MANTA_ADDRESS: bare, MANTA_TOKEN: token },
    ]) {
      const ended = await start(body, env).ended;
      expect(ended).toMatchObject({ exitCode: 0, stdout: `${bare}\nhello you\n` });
    }
    await expect(init({ address: bare, token: 'wrong' })).rejects.toMatchObject({
      name: 'AuthenticationError',
    });
    expect(isInitialized()).toBe(false);
    expect(await init({ address: bare, token, namespace: 'mine' })).toMatchObject({
      namespace: 'mine',
      address: bare,
    });
    expect(await listNodes()).toHaveLength(1);
    await shutdown();
    const killed = start(`${body} console.log('joined'); setInterval(() => undefined, 1000);`, {
      MANTA_ADDRESS: cluster.address,
    });
    await waitFor(() => killed.stdout.includes('joined'), { describe: 'the driver' });
    killed.kill('SIGKILL');
    await waitFor(async () => (await deadSockets()).length === 0, {
      describe: 'no sockets that nobody listens on',
    });
  });

  it('says that no cluster answers, in time', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    const refusal = {
      name: 'ClusterUnavailableError',
      message: expect.stringMatching(`127.0.0.1:${port}.*manta status`),
    };
    await expect(init({ address: `nats://127.0.0.1:${port}`, token: 't' })).rejects.toMatchObject(
      refusal,
    );
  });

  it('says that what answers there is no cluster', async () => {
    const sockets = new Set<{ destroy(): void }>();
    const silent = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    await expect(init({ address: `nats://127.0.0.1:${port}`, token: 't' })).rejects.toMatchObject({
      name: 'ClusterUnavailableError',
    });
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it.each(['http://127.0.0.1:80', 'nats://:x'])('refuses the address %s', async (address) => {
    await expect(init({ address })).rejects.toMatchObject({ name: 'InvalidArgumentError' });
  });

  it("says that nobody ran `manta start` when the address is 'auto'", async () => {
    const program = start(
      `console.log(await init({ address: 'auto' }).catch((error) => error.name + ' ' + error.message));`,
      {
        MANTA_HOME: `${directory.path}/home`,
      },
    );
    expect((await program.ended).stdout).toMatch(/^ClusterUnavailableError .*manta start --head/);
  });
});

describe('starting', () => {
  it('and shutting down go five times in a row in one program; how long init() took is printed', async () => {
    directory.write({
      'timed.mjs': `import { init, shutdown } from '@manta/sdk';
        const times = [];
        for (let run = 0; run < 5; run += 1) {
          const start = performance.now();
          await init({ logToDriver: false });
          times.push(performance.now() - start);
          await shutdown();
        }
        console.log(JSON.stringify(times));`,
    });
    const { stdout, exitCode } = await directory.run('timed.mjs');
    const times = (JSON.parse(stdout) as number[]).toSorted((a, b) => a - b);
    console.log(
      `init(): median ${times[2]?.toFixed(0)} ms of ${times.map((time) => time.toFixed(0)).join(', ')}`,
    );
    expect([exitCode, times.length]).toEqual([0, 5]);
  });
});
