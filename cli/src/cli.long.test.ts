/** The command as a person uses it: real processes, each test with a home of its own. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Session } from '@manta/runtime/session/session-file';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { COMMAND, finish, runNode, type Ended } from './testing/command.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/counter.mjs', import.meta.url));

let home: string;
let running: ChildProcess[];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mc-'));
  running = [];
});
afterEach(async () => {
  for (const child of running) child.kill('SIGKILL');
  await manta('stop', '--grace', '5s');
  await rm(home, { recursive: true, force: true });
});

function start(args: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  return runNode(home, [COMMAND, ...args], environment);
}

const manta = (...args: string[]): Promise<Ended> => finish(start(args));

async function mantaJson<T>(...args: string[]): Promise<T> {
  const { code, out, err } = await manta(...args, '--json');
  expect(code, err).toBe(0);
  return JSON.parse(out) as T;
}

const session = async (): Promise<Session> =>
  JSON.parse(await readFile(join(home, 'session.json'), 'utf8')) as Session;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const gone = (pids: readonly number[]): Promise<unknown> =>
  waitFor(() => !pids.some(isAlive), {
    timeoutMs: 15_000,
    describe: `the end of processes ${pids.join(', ')}`,
  });

interface NodeRow {
  nodeId: string;
  name: string;
  state: string;
  resources: Record<string, number>;
  labels: Record<string, string>;
}

describe('manta start, in the background', () => {
  it('starts head and node, and says how to join, look and end', async () => {
    const { code, out, err } = await manta(
      'start',
      '--head',
      '--port',
      '0',
      '--name',
      'first',
      '--cpus',
      '3',
    );
    expect(code, err).toBe(0);
    expect(out).toContain("init({ address: 'auto' })");
    const { address, token, pids } = await session();
    expect(out).toContain(address);
    expect(out).not.toContain(token);
    expect((await stat(join(home, 'session.json'))).mode & 0o777).toBe(0o600);
    expect((await stat(join(home, 'token'))).mode & 0o777).toBe(0o600);

    const nodes = await mantaJson<NodeRow[]>('list', 'nodes');
    expect(nodes).toMatchObject([{ name: 'first', state: 'alive', resources: { cpus: 3 } }]);
    const status = await manta('status');
    expect(status.out).toMatch(/first +alive/);
    expect((await manta('why', 'first')).out).toContain('is alive');
    expect((await manta('doctor')).out).toMatch(/ok {4}cluster: .* 1 of 1 nodes are alive/);

    const stopped = await manta('stop', '--grace', '10s');
    expect(stopped.out).toMatch(/node \d+ ended\nhead \d+ ended/);
    await gone([pids.head ?? 0, ...pids.nodes]);
    expect((await manta('status')).code).toBe(3);
  });

  it('lets a second machine join by address and token, with its own amounts and labels', async () => {
    expect((await manta('start', '--head', '--no-node', '--port', '0')).code).toBe(0);
    const { address } = await session();
    const joined = await manta(
      ...`start --address ${address} --token-file ${join(home, 'token')} --name second`.split(' '),
      ...'--cpus 2 --resources {"licence":1} --labels region=eu'.split(' '),
    );
    expect(joined.code, joined.err).toBe(0);
    const nodes = await mantaJson<NodeRow[]>('list', 'nodes');
    expect(nodes).toMatchObject([
      { name: 'second', resources: { cpus: 2, licence: 1 }, labels: { region: 'eu' } },
    ]);
    expect((await session()).pids.nodes).toHaveLength(1);
  });

  it('gives each node of a machine a directory of its own, also after one has ended', async () => {
    expect((await manta('start', '--head', '--no-node', '--port', '0')).code).toBe(0);
    const { address } = await session();
    const joining = ['start', '--address', address, '--token-file', join(home, 'token')];
    for (const name of ['a', 'b']) expect((await manta(...joining, '--name', name)).code).toBe(0);
    const [first, second] = (await session()).pids.nodes;
    process.kill(first ?? 0, 'SIGKILL');
    await gone([first ?? 0]);
    expect((await manta(...joining, '--name', 'c')).code).toBe(0);
    const third = (await session()).pids.nodes.at(-1);
    const pids = [0, 1].map((number) => readFile(join(home, 'nodes', `${number}`, 'pid'), 'utf8'));
    expect(await Promise.all(pids)).toEqual([String(third), String(second)]);
  });

  it('serves metrics of head and broker to those who bring the token', async () => {
    const args = ['start', '--head', '--no-node', '--port', '0', '--metrics-port', '0'];
    const { metricsUrl } = await mantaJson<{ metricsUrl: string }>(...args);
    const { token } = await session();
    const scrape = await fetch(metricsUrl, { headers: { authorization: `Bearer ${token}` } });
    expect(await scrape.text()).toMatch(/^manta_head_broker_connections \d+$/m);
    expect((await fetch(metricsUrl)).status).toBe(401);
  });

  it('counts the channels that its processes refuse, and tells them apart by node', async () => {
    const args = ['start', '--head', '--port', '0', '--metrics-port', '0'];
    const { metricsUrl, nodeId } = await mantaJson<{ metricsUrl: string; nodeId: string }>(...args);
    const { token } = await session();
    const refused = async (): Promise<number> => {
      const scrape = await fetch(metricsUrl, { headers: { authorization: `Bearer ${token}` } });
      const row = new RegExp(`^manta_head_refused_channels_total{node="${nodeId}"} (\\d+)$`, 'm');
      return Number(row.exec(await scrape.text())?.[1] ?? 0);
    };
    const sockets = join(home, 'nodes', '0', 'sockets');
    // Of the agent and of ready hosts.
    const names = await waitFor(
      async () => {
        const found = await readdir(sockets);
        return found.length > 1 ? found : undefined;
      },
      { describe: 'a host that listens' },
    );
    for (const name of names)
      connect(join(sockets, name)).end('no frame, but longer than a header');
    await waitFor(async () => (await refused()) >= names.length, {
      describe: 'the metrics count them',
    });
  });

  it('does not start twice, and says what runs', async () => {
    expect((await manta('start', '--head', '--no-node', '--port', '0')).code).toBe(0);
    const second = await manta('start', '--head', '--port', '0');
    expect(second.code).toBe(2);
    expect(second.err).toContain((await session()).address);
    expect(second.err).toContain('manta stop');
  });

  it('says which port is taken, and leaves nothing behind', async () => {
    expect((await manta('start', '--head', '--no-node', '--port', '0')).code).toBe(0);
    const port = new URL((await session()).address.replace('nats:', 'http:')).port;
    const other = await mkdtemp(join(tmpdir(), 'mc-'));
    try {
      const child = start(['start', '--head', '--port', port], { MANTA_HOME: other });
      const { code, err } = await finish(child);
      expect(code).toBe(3);
      expect(err).toContain(port);
      await expect(stat(join(other, 'session.json'))).rejects.toThrowError('ENOENT');
    } finally {
      await rm(other, { recursive: true, force: true });
    }
  });

  it('goes on where it was when the head was killed and is started again', async () => {
    expect((await manta('start', '--head', '--port', '0')).code).toBe(0);
    const before = await session();
    const [node] = await mantaJson<NodeRow[]>('list', 'nodes');
    process.kill(before.pids.head ?? 0, 'SIGKILL');
    await gone([before.pids.head ?? 0]);
    expect((await manta('status')).code).toBe(3);
    expect((await manta('doctor')).out).toContain('its head has ended');

    const changed = await manta('start', '--head', '--cpus', '2');
    expect([changed.code, changed.err]).toEqual([2, expect.stringContaining('leave out')]);
    const again = await manta('start', '--head');
    expect(again.code, again.err).toBe(0);
    const after = await session();
    expect(after).toMatchObject({ clusterId: before.clusterId, address: before.address });
    expect(after.pids.nodes).toEqual(before.pids.nodes);
    await waitFor(
      async () => {
        const nodes = await mantaJson<NodeRow[]>('list', 'nodes');
        return (
          nodes.length === 1 && nodes[0]?.nodeId === node?.nodeId && nodes[0]?.state === 'alive'
        );
      },
      { timeoutMs: 15_000, describe: 'the same node alive again' },
    );
  });
});

describe('looking at actors', () => {
  it('calls them, explains them and shows what they wrote', async () => {
    expect((await manta('start', '--head', '--port', '0')).code).toBe(0);
    const driver = await finish(runNode(home, [PROGRAM]));
    expect(driver.code, driver.err).toBe(0);

    expect((await manta('call', 'counter', 'add', '5')).out).toBe('5\n');
    const echo = await mantaJson('call', 'counter', 'echo', '{"a":1}', 'text', 'null');
    expect(echo).toEqual([{ a: 1 }, 'text', null]);
    expect((await manta('call', 'counter', 'count', '3')).out).toBe('1\n2\n3\n');
    const failing = await manta('call', 'counter', 'fail');
    expect(failing).toMatchObject({ code: 1, out: '' });
    expect(failing.err).toContain('out of range on purpose');
    const unknown = await manta('call', 'counter', 'nothing');
    expect(unknown.code).toBe(2);
    expect(unknown.err).toContain('add, count, echo, fail, never');
    expect((await manta('call', 'nobody', 'add')).err).toContain('no living actor called "nobody"');

    const actors = await mantaJson<{ name: string; state: string }[]>('list', 'actors');
    expect(actors.map(({ name, state }) => `${name} ${state}`).sort()).toEqual([
      'counter alive',
      'too-large pending',
    ]);
    const why = await mantaJson<{ state: string; perNode: object }>('why', 'too-large');
    expect(why.state).toMatch(/infeasible|pending/);
    expect(Object.values(why.perNode)).toEqual([expect.stringMatching(/gpu/i)]);
    expect((await manta('logs', 'counter')).out).toBe('value is 5\n');
    expect((await manta('logs')).out).toMatch(/host-p_\w+\.out/);

    expect((await manta('call', 'counter', 'never', '--timeout', '300ms')).code).toBe(124);
  });

  it('follows a log until interrupted', async () => {
    expect((await manta('start', '--head', '--port', '0')).code).toBe(0);
    expect((await finish(runNode(home, [PROGRAM]))).code).toBe(0);
    const follower = start(['logs', 'counter', '-f']);
    running.push(follower);
    let seen = '';
    follower.stdout?.on('data', (text) => (seen += String(text)));
    const ended = once(follower, 'close');
    for (const total of [1, 2]) {
      expect((await manta('call', 'counter', 'add', '1')).code).toBe(0);
      await waitFor(() => seen.includes(`value is ${total}\n`), { describe: `line ${total}` });
    }
    follower.kill('SIGINT');
    expect(await ended).toEqual([0, null]);
    expect(seen).toBe('value is 1\nvalue is 2\n');
  });
});

describe('access', () => {
  it('is refused without the right token, with an exit code of its own', async () => {
    expect((await manta('start', '--head', '--no-node', '--port', '0')).code).toBe(0);
    const { address } = await session();
    const wrong = await manta('status', '--address', address, '--token', 'wrong');
    expect(wrong.code).toBe(4);
    const child = start(['start', '--address', address, '--token', 'wrong'], {
      MANTA_HOME: join(home, 'b'),
    });
    const node = await finish(child);
    expect(node.code).toBe(4);
  });
});

describe('manta start --block', () => {
  it('ends everything on an interrupt', async () => {
    const child = start(['start', '--head', '--port', '0', '--block']);
    running.push(child);
    const ended = finish(child);
    await waitFor(mantaIsUp, { timeoutMs: 30_000, describe: 'a node that is alive' });
    const { pids } = await session();
    child.kill('SIGINT');
    expect((await ended).code).toBe(0);
    await gone([pids.head ?? 0, ...pids.nodes]);
    await expect(stat(join(home, 'session.json'))).rejects.toThrowError('ENOENT');
  });

  it('leaves no process when it is killed', async () => {
    const child = start(['start', '--head', '--port', '0', '--block']);
    running.push(child);
    const ended = finish(child);
    await waitFor(mantaIsUp, { timeoutMs: 30_000, describe: 'a node that is alive' });
    const { pids } = await session();
    expect(pids.nodes).toHaveLength(1);
    child.kill('SIGKILL');
    await ended;
    await gone([pids.head ?? 0, ...pids.nodes]);
  });

  async function mantaIsUp(): Promise<boolean> {
    const { code, out } = await manta('list', 'nodes', '--json');
    return code === 0 && (JSON.parse(out) as NodeRow[]).some((node) => node.state === 'alive');
  }
});
