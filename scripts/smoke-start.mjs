/**
 * Starts the service as the README says (`npm start`) on a free port with a fresh data folder, uses it as a client
 * would, stops it with an interrupt and looks for anything left behind. Ends with `N passed, N failed`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const READY_MS = 300_000;
const STOP_MS = 30_000;
let passed = 0;
let failed = 0;

function check(what, holds, detail = '') {
  if (holds) passed += 1;
  else failed += 1;
  console.log(
    `${holds ? 'ok    ' : 'FAILED'}  ${what}${holds || detail === '' ? '' : `: ${detail}`}`,
  );
}

async function attempt(what, action) {
  try {
    const detail = await action();
    check(detail ? `${what} (${detail})` : what, true);
  } catch (error) {
    check(what, false, error instanceof Error ? error.message : String(error));
  }
}

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function until(deadlineMs, condition) {
  const end = Date.now() + deadlineMs;
  while (Date.now() < end) {
    if (await condition()) return true;
    await delay(100);
  }
  return false;
}

/** Processes that were started, at any depth, with our mark in their environment. */
function markedProcesses(mark) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(mark);
      } catch (error) {
        // A process may end while it is looked at, and those of others cannot be read.
        if (['ENOENT', 'EACCES', 'EPERM', 'ESRCH'].includes(error.code)) return false;
        throw error;
      }
    });
}

async function streamedChat(url, headers) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers,
    body: JSON.stringify({
      model: 'local/tiny-moby',
      messages: [{ role: 'user', content: 'Call me' }],
      max_tokens: 16,
      stream: true,
    }),
  });
  const text = await response.text();
  expect(response.status === 200, `status ${response.status}: ${text.slice(0, 300)}`);
  const events = text.split('\n').filter((line) => line.startsWith('data: '));
  expect(events.at(-1) === 'data: [DONE]', `the stream ends with ${events.at(-1)}`);
  const words = events
    .slice(0, -1)
    .map((event) => JSON.parse(event.slice(6)).choices[0]?.delta?.content ?? '')
    .filter((word) => word !== '');
  expect(words.length > 1, `only ${words.length} pieces of text`);
  return `${words.length} pieces`;
}

async function embeddings(url, headers) {
  const response = await fetch(`${url}/v1/embeddings`, {
    method: 'POST',
    headers,
    body: JSON.stringify({
      model: 'local/use-lite',
      input: ['a ship at sea', 'a vessel on water'],
    }),
  });
  const text = await response.text();
  expect(response.status === 200, `status ${response.status}: ${text.slice(0, 300)}`);
  const { data } = JSON.parse(text);
  expect(data.length === 2 && data[0].embedding.length > 100, 'not two vectors');
  return `${data[0].embedding.length} numbers each`;
}

async function useService(url, keyFile) {
  const key = readFileSync(keyFile, 'utf8').trim();
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
  check('the key file is for its owner alone', (statSync(keyFile).mode & 0o777) === 0o600);
  await attempt('embeddings', () => embeddings(url, headers));
  await attempt('streamed chat', () => streamedChat(url, headers));
  await attempt('no key, no answer', async () => {
    const response = await fetch(`${url}/v1/models`);
    await response.text();
    expect(response.status === 401, `status ${response.status}`);
  });
}

const directory = mkdtempSync('/tmp/manta-smoke-');
const temporary = mkdtempSync('/tmp/ms-');
const data = join(directory, 'data');
const port = await freePort();
const url = `http://127.0.0.1:${port}`;
const mark = `MANTA_SMOKE=${process.pid}`;
const sharedMemoryBefore = readdirSync('/dev/shm').length;
const child = spawn('npm', ['start', '--', '--port', String(port), '--data', data], {
  env: { ...process.env, MANTA_SMOKE: String(process.pid), TMPDIR: temporary },
  stdio: ['ignore', 'inherit', 'inherit'],
  detached: true,
});
const exited = once(child, 'exit');
const startedAt = Date.now();
try {
  const ready = await until(READY_MS, async () => {
    if (child.exitCode !== null) return true;
    const response = await fetch(`${url}/readyz`).catch(() => undefined);
    await response?.arrayBuffer();
    return response?.status === 200;
  });
  const alive = ready && child.exitCode === null;
  check(`npm start is ready after ${((Date.now() - startedAt) / 1000).toFixed(1)} s`, alive);
  if (alive) await useService(url, join(data, 'api-key'));
  // As Ctrl-C in a terminal: to the whole group.
  if (child.exitCode === null) process.kill(-Number(child.pid), 'SIGINT');
  const stopped = await Promise.race([
    exited.then(() => true),
    delay(STOP_MS, false, { ref: false }),
  ]);
  check('stops on an interrupt', stopped);
  const gone = await until(5_000, () => markedProcesses(mark).length === 0);
  check('leaves no process', gone, markedProcesses(mark).join(' '));
  // The folder that all clusters of a user share may stay, empty.
  const left = readdirSync(temporary, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => entry.name);
  check('leaves no temporary file', left.length === 0, left.join(' '));
  check('leaves nothing in shared memory', readdirSync('/dev/shm').length <= sharedMemoryBefore);
} finally {
  for (const pid of markedProcesses(mark)) process.kill(Number(pid), 'SIGKILL');
  rmSync(directory, { recursive: true, force: true });
  rmSync(temporary, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
