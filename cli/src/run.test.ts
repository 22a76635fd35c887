import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeSession } from '@manta/runtime/session/session-file';
import { systemClock } from '@manta/runtime/time/clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveConnection } from './connection.ts';
import type { Context } from './context.ts';
import { run } from './run.ts';
import { ensureToken } from './token.ts';

let home: string;
let output: string[];
let errors: string[];
let context: Context;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'manta-cli-'));
  output = [];
  errors = [];
  context = {
    environment: {},
    home,
    clock: systemClock,
    out: (text) => output.push(text),
    err: (text) => errors.push(text),
    columns: undefined,
    interrupted: new AbortController().signal,
  };
});
afterEach(() => rm(home, { recursive: true, force: true }));

describe('usage', () => {
  it('is told of as JSON to those who want JSON', async () => {
    expect(await run(['status', '--colour', '--json'], context)).toBe(2);
    expect(JSON.parse(errors.join('\n'))).toMatchObject({
      error: { message: "unknown option '--colour'" },
    });
  });

  it.each([
    [['statsu'], /unknown command 'statsu'[^]*Did you mean status/],
    [['call', 'x'], /missing required argument 'method'/],
    [['status', '--colour'], /unknown option '--colour'/],
    [['start'], /manta start --head/],
    [['start', '--head', '--address', 'nats://x:1'], /give one of them/],
    [['start', '--head', '--memory', 'much'], /--memory: "much"/],
    [['start', '--head', '--port', '99999'], /--port/],
    [['start', '--head', '--metrics-port', '99999'], /--metrics-port/],
    [['start', '--address', 'nats://x:1', '--metrics-port', '1'], /goes with --head/],
    [['status', '--address', 'http://x', '--token', 't'], /not a cluster address/],
    [['list', 'actors', '--state', 'asleep'], /--state: "asleep" is none of/],
    [['logs', '--tail', 'all'], /--tail: "all"/],
    [['memory', '--group-by', 'moon'], /--group-by: "moon" is none of owner, holder, node/],
  ])('%j ends with 2', async (args, message) => {
    expect(await run(args, context)).toBe(2);
    expect(errors.join('\n')).toMatch(message);
    expect(output).toEqual([]);
  });

  it.each([['start'], ['stop'], ['status'], ['memory'], ['call'], ['why'], ['logs'], ['doctor']])(
    'help of %s has examples',
    async (command) => {
      expect(await run([command, '--help'], context)).toBe(0);
      expect(output.join('\n')).toMatch(new RegExp(`Examples:\\s+manta ${command}`));
    },
  );
});

describe('errors', () => {
  it('says that nothing was started, and how to start', async () => {
    expect(await run(['status'], context)).toBe(3);
    expect(errors.join('\n')).toContain('manta start --head');
  });

  it('gives data to programs', async () => {
    expect(
      await run(['status', '--address', '127.0.0.1:1', '--token', 't', '--json'], context),
    ).toBe(3);
    expect(JSON.parse(errors.join('\n'))).toMatchObject({
      error: { name: 'ClusterUnavailableError', code: 'MANTA_CLUSTER_UNAVAILABLE' },
    });
  });

  it('asks for a token where none is known', async () => {
    expect(await run(['status', '--address', 'nats://127.0.0.1:1'], context)).toBe(4);
  });

  it('names a token file that cannot be read', async () => {
    const args = ['status', '--address', 'nats://127.0.0.1:1', '--token-file', join(home, 'none')];
    expect(await run(args, context)).toBe(2);
    expect(errors.join('\n')).toContain(join(home, 'none'));
  });

  it('has nothing to stop', async () => {
    expect(await run(['stop'], context)).toBe(0);
    expect(output).toEqual(['nothing was running']);
  });
});

describe('which cluster', () => {
  const session = {
    address: 'nats://10.0.0.5:4222',
    token: 'of-session',
    pids: { nodes: [] },
    startedAt: 1,
  };

  it('is the one of the session, unless told', async () => {
    await writeSession(session, home);
    expect(await resolveConnection(context, {})).toEqual({
      url: session.address,
      token: 'of-session',
    });
    expect(await resolveConnection(context, { address: 'auto', token: 'given' })).toEqual({
      url: session.address,
      token: 'given',
    });
  });

  it('does not send the token of one cluster to another', async () => {
    await writeSession(session, home);
    await expect(
      resolveConnection(context, { address: 'nats://10.0.0.6:4222' }),
    ).rejects.toThrowError(/no token for nats:\/\/10.0.0.6:4222/);
    expect(await resolveConnection(context, { address: 'nats://10.0.0.5' })).toMatchObject({
      token: 'of-session',
    });
  });

  it('takes address and token from the environment, the option first', async () => {
    context.environment = { MANTA_ADDRESS: 'nats://h:1', MANTA_TOKEN: 'of-environment' };
    expect(await resolveConnection(context, {})).toEqual({
      url: 'nats://h:1',
      token: 'of-environment',
    });
    expect(await resolveConnection(context, { address: 'nats://mine@h:2' })).toEqual({
      url: 'nats://h:2',
      token: 'mine',
    });
    await writeFile(join(home, 'file'), ' from-file \n');
    expect(await resolveConnection(context, { tokenFile: join(home, 'file') })).toMatchObject({
      token: 'from-file',
    });
  });
});

describe('token', () => {
  it('is made once, readable by its owner alone', async () => {
    const path = join(home, 'deep', 'token');
    const token = await ensureToken(path);
    expect(token).toMatch(/^[\w-]{32}$/);
    expect(await ensureToken(path)).toBe(token);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, 'utf8')).toBe(`${token}\n`);
  });
});

describe('doctor', () => {
  it('looks at everything and says what to do', async () => {
    await run(['doctor', '--json', '--port', '0'], context);
    const findings = JSON.parse(output.join('\n')) as {
      what: string;
      level: string;
      found: string;
    }[];
    expect(findings.map((finding) => finding.what)).toEqual([
      'versions',
      'home folder',
      'shared memory',
      'spill disk',
      'open files',
      'process guard',
      'GPUs',
      'port',
      'cluster',
      'clock',
    ]);
    expect(findings.find((finding) => finding.what === 'cluster')).toMatchObject({
      level: 'note',
      todo: expect.stringContaining('manta start --head') as string,
    });
  });

  it('fails when the cluster of the session does not answer', async () => {
    await writeSession(
      { address: 'nats://127.0.0.1:1', token: 't', pids: { head: 1, nodes: [] }, startedAt: 1 },
      home,
    );
    expect(await run(['doctor'], context)).toBe(1);
    expect(output.join('\n')).toMatch(/FAIL {2}cluster: [^]*its head has ended/);
  });
});
