import fc from 'fast-check';
import { appendFileSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@manta/runtime/time/clock';
import { waitFor } from '@manta/runtime/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { testMint } from '../testing/fake-head.ts';
import { lastLines, LogDirectory } from './log-directory.ts';
import { takeLines } from './log-lines.ts';
import { LogTailer } from './log-tailer.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'manta-logs-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('takeLines', () => {
  it('gives the same lines however the bytes are cut', () => {
    const line = fc.string({ maxLength: 8, unit: fc.constantFrom('a', 'é', '世', ' ') });
    fc.assert(
      fc.property(fc.array(line, { minLength: 1 }), fc.nat(20), (lines, cut) => {
        const bytes = Buffer.from(lines.join('\n') + '\n');
        const first = takeLines(bytes.subarray(0, cut), false);
        const rest = takeLines(bytes.subarray(first.bytes), true);
        expect([...first.lines, ...rest.lines]).toEqual(lines);
      }),
    );
  });

  it('leaves an unfinished line unless told to take all', () => {
    expect(takeLines(Buffer.from('a\r\nb'), false)).toEqual({ lines: ['a'], bytes: 3 });
    expect(takeLines(Buffer.from('a\nb'), true)).toEqual({ lines: ['a', 'b'], bytes: 3 });
  });
});

it.each([
  ['a\nb\nc\n', 2, 'b\nc\n'],
  ['a\nb\nc', 2, 'b\nc'],
  ['a\n', 5, 'a\n'],
  ['', 5, ''],
  ['a\nb\n', 0, ''],
])('lastLines(%j, %i)', (text, count, expected) => {
  expect(lastLines(text, count)).toBe(expected);
});

describe('LogTailer', () => {
  function follow(
    file: string,
    { platform = process.platform, onLines = (_lines: string[]): void => undefined } = {},
  ) {
    const lines: string[] = [];
    const errors: unknown[] = [];
    const tailer = new LogTailer({
      directory,
      clock: systemClock,
      publish: (_source, added) => {
        lines.push(...added);
        onLines(added);
      },
      onError: (error) => errors.push(error),
      platform,
    });
    const path = join(directory, file);
    const jobId = testMint('job');
    tailer.track(path, { jobId, pid: 1, stream: 'stdout', label: () => '' });
    return { tailer, lines, errors, path, jobId };
  }

  it('sends at once what a job has written, when it is asked to, and each line once', async () => {
    writeFileSync(join(directory, 'a.out'), '');
    const { tailer, lines, path, jobId } = follow('a.out');
    const many = Array.from({ length: 20_000 }, (_, index) => `line ${index}`);
    appendFileSync(path, `${many.join('\n')}\nnot all of`);
    await Promise.all([tailer.send(jobId), tailer.send(jobId), tailer.send(testMint('job'))]);
    expect(lines).toEqual(many);
    tailer.close();
  });

  it('sends what is written after it was asked to, complete lines first', async () => {
    writeFileSync(join(directory, 'host.out'), 'before\n');
    const { tailer, lines, errors, path } = follow('host.out');
    appendFileSync(path, 'one\ntwo\nthr');
    await waitFor(() => lines.length === 2, { describe: 'two lines' });
    appendFileSync(path, 'ee\n');
    await waitFor(() => lines.length === 3, { describe: 'the third line' });
    appendFileSync(path, 'last words');
    tailer.finish(path);
    await waitFor(() => lines.length === 4, { describe: 'the last words' });
    tailer.close();
    expect(lines).toEqual(['one', 'two', 'three', 'last words']);
    expect(errors).toEqual([]);
  });

  it('sends the last words of a process that ends while its file is being read', async () => {
    const path = join(directory, 'host.out');
    writeFileSync(path, '');
    const { tailer, lines } = follow('host.out', {
      onLines: ([line]) => {
        if (line !== 'one') return;
        appendFileSync(path, 'last words');
        tailer.finish(path);
      },
    });
    appendFileSync(path, 'one\n');
    await waitFor(() => lines.length === 2, { describe: 'the last words' });
    tailer.close();
    expect(lines).toEqual(['one', 'last words']);
  });

  it('sends what is written though the directory tells nothing of it (macOS)', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'manta-logs-elsewhere-'));
    writeFileSync(join(elsewhere, 'written'), 'before\n');
    symlinkSync(join(elsewhere, 'written'), join(directory, 'host.out'));
    const { tailer, lines, errors, path } = follow('host.out', { platform: 'darwin' });
    for (const line of ['one', 'two']) {
      appendFileSync(path, `${line}\n`);
      await waitFor(() => lines.includes(line), { describe: line });
    }
    tailer.close();
    rmSync(elsewhere, { recursive: true });
    expect(lines).toEqual(['one', 'two']);
    expect(errors).toEqual([]);
  });

  it('drops a flood with a note and comes to its end', async () => {
    writeFileSync(join(directory, 'host.out'), '');
    const { tailer, lines, path } = follow('host.out');
    const megabyte = `${'x'.repeat(1023)}\n`.repeat(1024);
    for (let written = 0; written < 8; written += 1) appendFileSync(path, megabyte);
    appendFileSync(path, 'the end\n');
    await waitFor(() => lines.includes('the end'), { describe: 'the end of the flood' });
    await waitFor(() => lines.some((line) => line.includes('not shown')), { describe: 'the note' });
    tailer.close();
    expect(lines.length).toBeLessThan(4 * 1024);
  });

  it('moves a file that has grown too large away once', async () => {
    writeFileSync(join(directory, 'host.out'), Buffer.alloc(65 * 1024 * 1024, 'x\n'));
    const { tailer, lines, path } = follow('host.out');
    appendFileSync(path, 'over the limit\n');
    await waitFor(() => statSync(path).size === 0, { describe: 'the emptied file' });
    expect(statSync(`${path}.1`).size).toBeGreaterThan(65 * 1024 * 1024);
    appendFileSync(path, 'anew\n');
    await waitFor(() => lines.includes('anew'), { describe: 'the first line of the new file' });
    tailer.close();
    expect(lines).toEqual(['over the limit', 'anew']);
  });
});

describe('LogDirectory', () => {
  it('answers by file, by offset, by actor, and refuses what is not there', async () => {
    const hostId = testMint('process');
    const actorId = testMint('actor');
    writeFileSync(join(directory, `host-${hostId}.out`), 'a\nb\nc\n');
    writeFileSync(join(directory, `host-${hostId}.err`), 'oh\n');
    writeFileSync(join(directory, 'other.log'), 'other\n');
    const logs = new LogDirectory(directory);
    logs.actorOn(actorId, hostId);
    const names = [`host-${hostId}.err`, `host-${hostId}.out`, 'other.log'];
    expect((await logs.answer({})).files.map(({ file }) => file)).toEqual(names);
    expect((await logs.answer({ actorId, tailLines: 2 })).text).toBe('b\nc\noh\n');
    const file = `host-${hostId}.out`;
    expect(await logs.answer({ file, offset: 2 })).toMatchObject({ text: 'b\nc\n', nextOffset: 6 });
    expect(await logs.answer({ file, offset: 99 })).toMatchObject({ text: '', nextOffset: 6 });
    await expect(logs.answer({ file: '../secret' })).rejects.toThrow('no log file');
    await expect(logs.answer({ actorId: testMint('actor') })).rejects.toThrow('no actor');
  });
});
