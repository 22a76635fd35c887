import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { TEST_TLS } from './gateway/testing/https-conformance.ts';

/** The compiled service as a process of its own, with its cluster of two nodes and the real models. */
const PROGRAM = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const MARK = `MANTA_E2E=${process.pid}`;

const folder = mkdtempSync(join(tmpdir(), 'ms-'));
let service: ChildProcess;
let written: Written;
let url = '';
let key = '';
let openai: OpenAI;

/** What a service that was started has written so far. */
interface Written {
  text: string;
}

async function start(args: string[]): Promise<{ process: ChildProcess; written: Written }> {
  const started = spawn(process.execPath, [PROGRAM, '--port', '0', ...args], {
    env: {
      ...process.env,
      MANTA_E2E: String(process.pid),
      MANTA_UWEBSOCKETS: 'off',
      TMPDIR: folder,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const written = { text: '' };
  const collect = (chunk: Buffer): void => void (written.text += chunk.toString());
  started.stdout?.on('data', collect);
  started.stderr?.on('data', collect);
  const isUp = (): boolean => written.text.includes('Stop it with Ctrl-C');
  await vi.waitUntil(() => isUp() || started.exitCode !== null, { timeout: 50_000 });
  return { process: started, written };
}

beforeAll(async () => {
  const args = ['--nodes', '2', '--data', join(folder, 'data')];
  ({ process: service, written } = await start(args));
  url = /URL\s+(\S+)/.exec(written.text)?.[1] ?? '';
  key = readFileSync(join(folder, 'data/api-key'), 'utf8').trim();
  openai = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });
});

afterAll(() => {
  service.kill('SIGKILL');
  for (const pid of markedProcesses()) process.kill(pid, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** What the service started, at any depth. Linux only, as are the machines that run this suite. */
function markedProcesses(): number[] {
  const pids = readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid);
  return pids.filter((pid) => readProc(pid, 'environ').split('\0').includes(MARK));
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    // Processes end while they are looked at.
    return '';
  }
}

const embeddingReplicas = (): number[] =>
  markedProcesses().filter((pid) => readProc(pid, 'cmdline').startsWith('manta:EmbeddingModel'));

const headers = (): Record<string, string> => ({ authorization: `Bearer ${key}` });
const moby = {
  model: 'local/tiny-moby',
  messages: [{ role: 'user' as const, content: 'Call me Ishmael.' }],
};

/** Runs the lines that the service says to try, as they are. */
async function tryLines(text: string): Promise<void> {
  const lines = [
    ...text.matchAll(/^ {2}curl [\s\S]*?'$\n {4}-d '.*'$|^ {2}curl [^\n]*\\\n[^\n]*$/gm),
  ].map(([line]) => line);
  expect(lines).toHaveLength(2);
  for (const line of lines) {
    const shell = spawn('sh', ['-c', line], { stdio: ['ignore', 'pipe', 'ignore'] });
    let answer = '';
    shell.stdout.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    expect(await once(shell, 'close')).toEqual([0, null]);
    expect(answer).toMatch(/"embedding":\[|data: \[DONE\]/);
  }
}

test('says where it is and lines that work as they are', async () => {
  expect(written.text).toContain('✓ cluster: head and 2 worker nodes');
  await tryLines(written.text);
});

test('serves HTTPS with a certificate, and lines that trust it', async () => {
  const { certificateFile, keyFile } = TEST_TLS;
  const files = ['--tls-cert', certificateFile, '--tls-key', keyFile];
  const secure = await start(['--data', join(folder, 'secure'), ...files]);
  expect(secure.written.text).toMatch(/URL +https:\/\/127\.0\.0\.1:\d+\n/);
  await tryLines(secure.written.text);
  secure.process.kill('SIGTERM');
  expect(await once(secure.process, 'exit')).toEqual([0, null]);
});

describe('the openai package, unchanged', () => {
  test('lists the models', async () => {
    const ids: string[] = [];
    for await (const model of openai.models.list()) ids.push(model.id);
    expect(ids).toEqual(['local/use-lite', 'local/tiny-moby', 'local/text-orientation']);
  });

  test('embeds, so that what means the same is near', async () => {
    const input = [
      'How do I reset my password?',
      'I forgot my login credentials',
      'The whale is white',
    ];
    const { data, usage } = await openai.embeddings.create({ model: 'local/use-lite', input });
    const [a, b, c] = data.map((item) => item.embedding) as [number[], number[], number[]];
    const cosine = (x: number[], y: number[]): number =>
      x.reduce((sum, value, index) => sum + value * (y[index] ?? 0), 0);
    expect(a).toHaveLength(512);
    expect(cosine(a, b)).toBeGreaterThan(cosine(a, c) + 0.2);
    expect(usage.prompt_tokens).toBeGreaterThan(10);
  });

  test('chats, the same for the same seed, streamed or not', async () => {
    const whole = await openai.chat.completions.create({ ...moby, max_tokens: 24, seed: 5 });
    const text = whole.choices[0]?.message.content ?? '';
    expect(text.length).toBeGreaterThan(20);
    expect(whole.usage?.completion_tokens).toBe(24);
    const stream = await openai.chat.completions.create({
      ...moby,
      max_tokens: 24,
      seed: 5,
      stream: true,
    });
    const pieces: string[] = [];
    for await (const chunk of stream) pieces.push(chunk.choices[0]?.delta.content ?? '');
    expect(pieces.join('')).toBe(text);
    expect(pieces.length).toBeGreaterThan(10);
  });

  test('is told what the model refuses', async () => {
    const error = await openai.embeddings
      .create({ model: 'local/use-lite', input: '' })
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    const long = openai.completions.create({
      model: 'local/tiny-moby',
      prompt: 'whale '.repeat(2000),
    });
    await expect(long).rejects.toBeInstanceOf(OpenAI.BadRequestError);
  });
});

test('tensors go in and come out in binary', async () => {
  const image = new Float32Array(3 * 48 * 192);
  const json = Buffer.from(
    JSON.stringify({
      inputs: [
        {
          name: 'x',
          datatype: 'FP32',
          shape: [1, 3, 48, 192],
          parameters: { binary_data_size: image.byteLength },
        },
      ],
      parameters: { binary_data_output: true },
    }),
  );
  const answer = await fetch(`${url}/v2/models/text-orientation/versions/1/infer`, {
    method: 'POST',
    headers: { ...headers(), 'inference-header-content-length': String(json.length) },
    body: Buffer.concat([json, Buffer.from(image.buffer)]),
  });
  expect(answer.status).toBe(200);
  const body = Buffer.from(await answer.arrayBuffer());
  const probabilities = body.subarray(
    Number(answer.headers.get('inference-header-content-length')),
  );
  expect(probabilities.readFloatLE(0) + probabilities.readFloatLE(4)).toBeCloseTo(1, 3);
});

test('a WebSocket carries several requests at once', async () => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, { headers: headers() });
  const done = new Set<string>();
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString()) as { id: string; type: string };
    if (frame.type === 'done') done.add(frame.id);
  });
  await once(socket, 'open');
  const send = (id: string, type: string, body: object): void =>
    socket.send(JSON.stringify({ id, type, body }));
  send('chat', 'chat', { ...moby, max_tokens: 16, stream: true });
  send('embedding', 'embedding', { model: 'local/use-lite', input: 'a' });
  await expect.poll(() => done.size, { timeout: 10_000 }).toBe(2);
  socket.terminate();
});

test('a client that leaves stops the model', async () => {
  const stream = await openai.chat.completions.create({ ...moby, stream: true, n: 8 });
  for await (const chunk of stream) {
    expect(chunk.object).toBe('chat.completion.chunk');
    stream.controller.abort();
  }
  const metric = async (name: string): Promise<string> => {
    const text = await (await fetch(`${url}/metrics`, { headers: headers() })).text();
    return text.split('\n').find((line) => line.startsWith(name)) ?? '';
  };
  const left =
    'manta_gateway_requests_total{route="/v1/chat/completions",method="POST",status="499"}';
  await expect.poll(() => metric(left)).toBe(`${left} 1`);
});

test('more work than a replica takes is refused with 429 and a time to come back', async () => {
  const prompt = Array.from({ length: 4 }, (_, index) => `whale ${index}`);
  const body = JSON.stringify({ model: 'local/tiny-moby', prompt, n: 16, max_tokens: 4 });
  const ask = async (): Promise<Response> => {
    const answer = await fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: headers(),
      body,
    });
    await answer.arrayBuffer();
    return answer;
  };
  const answers = await Promise.all(Array.from({ length: 40 }, ask));
  const refused = answers.filter((answer) => answer.status === 429);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.every((answer) => answer.headers.get('retry-after') === '1')).toBe(true);
  expect(answers.filter((answer) => answer.status === 200)).toHaveLength(40 - refused.length);
  expect((await ask()).status).toBe(200);
});

test('a replica that is killed is replaced, and no request fails for it', async () => {
  const [replica] = embeddingReplicas();
  process.kill(replica ?? 0, 'SIGKILL');
  for (let call = 0; call < 5; call += 1) {
    const { data } = await openai.embeddings.create({
      model: 'local/use-lite',
      input: `call ${call}`,
    });
    expect(data[0]?.embedding).toHaveLength(512);
  }
});

test('a second service on the same port is told so', async () => {
  const second = spawn(process.execPath, [PROGRAM, '--port', new URL(url).port, '--data', folder], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  second.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  expect(await once(second, 'close')).toEqual([1, null]);
  expect(errors).toContain('is already in use');
});

test('an interrupt lets streams finish and leaves nothing', async () => {
  const stream = await openai.chat.completions.create({ ...moby, stream: true, max_tokens: 60 });
  const exited = once(service, 'exit');
  let finish: string | null | undefined;
  for await (const chunk of stream) {
    if (finish === undefined) service.kill('SIGINT');
    finish = chunk.choices[0]?.finish_reason ?? null;
  }
  expect(finish).toBe('length');
  expect(await exited).toEqual([0, null]);
  await expect.poll(markedProcesses, { timeout: 5_000 }).toEqual([]);
  expect(
    readdirSync(folder)
      .filter((name) => name.startsWith('manta-'))
      .flatMap((name) => readdirSync(join(folder, name))),
  ).toEqual([]);
});

test('serves each model with as many replicas as are asked for', async () => {
  const count = (): number => embeddingReplicas().length;
  const { process: another } = await start(['--replicas', '2', '--data', join(folder, 'another')]);
  await expect.poll(count, { timeout: 30_000 }).toBe(2);
  another.kill('SIGTERM');
  await once(another, 'exit');
  await expect.poll(count, { timeout: 5_000 }).toBe(0);
});
