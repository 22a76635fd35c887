import { statSync, watch, type FSWatcher } from 'node:fs';
import { copyFile, open, truncate, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { JobId } from '@manta/runtime/ids';
import type { Clock } from '@manta/runtime/time/clock';
import { takeLines } from './log-lines.ts';

/** Changes are gathered for so long: a driver's terminal needs no more, and a busy file no more reads. */
const FLUSH_DELAY_MS = 30;
const READ_BYTES_MAX = 64 * 1024;
/** Of each file, when all is to be sent that is there: as much as its budget at most. */
const PORTIONS_AT_ONCE = 16;
const FILE_BYTES_MAX = 64 * 1024 * 1024;
/** What one file may send to drivers. */
const BYTES_PER_SECOND = 1024 * 1024;
const NOTE_DELAY_MS = 500;

export interface LogSource {
  jobId: JobId;
  pid: number;
  stream: 'stdout' | 'stderr';
  label(): string;
}

export interface LogTailerOptions {
  directory: string;
  clock: Clock;
  publish(source: LogSource, lines: string[]): void;
  onError(error: unknown): void;
  platform?: NodeJS.Platform;
}

interface TrackedFile {
  file: string;
  source: LogSource;
  watcher: FSWatcher | undefined;
  /** Where the next line begins. */
  offset: number;
  /** Bytes that may still be sent; grows with time up to one second's worth. */
  budgetBytes: number;
  budgetAtMs: number;
  /** Output that was passed over since the last note about it. */
  skippedBytes: number;
  finished: boolean;
}

/**
 * Sends what actors write to the drivers of their jobs. Woken by the file system alone, so silent actors cost nothing;
 * reads a file only from the moment its host was given to an actor, and drops what comes faster than a terminal can
 * use (it stays in the file). Files that grow past 64 MiB are moved to `<file>.1` once and begin again.
 */
export class LogTailer {
  private readonly options: LogTailerOptions;
  private readonly files = new Map<string, TrackedFile>();
  private readonly changed = new Set<string>();
  private readonly watcher: FSWatcher;
  private cancelFlush: (() => void) | undefined;
  private flushing = false;
  private flushed: Promise<void> = Promise.resolve();
  private closed = false;

  constructor(options: LogTailerOptions) {
    this.options = options;
    this.watcher = this.watch(options.directory, (name) => {
      if (name !== null) this.touch(name);
    });
  }

  /** Lines written from now on go to the source's job. */
  track(path: string, source: LogSource): void {
    const file = basename(path);
    this.forget(file);
    const watcher = this.watchFile(path);
    const nowMs = this.options.clock.now();
    const { size } = statSync(path);
    const budgetBytes = BYTES_PER_SECOND;
    const counters = { budgetBytes, budgetAtMs: nowMs, skippedBytes: 0, finished: false };
    this.files.set(file, { file, source, watcher, offset: size, ...counters });
  }

  /** The process is gone: its last words are sent, whether or not they end a line. */
  finish(path: string): void {
    const tracked = this.files.get(basename(path));
    if (tracked === undefined) return;
    tracked.finished = true;
    this.touch(tracked.file);
  }

  /** Sends what is written for this job so far, as far as a terminal can use it; a line is sent when it is complete. */
  async send(jobId: JobId): Promise<void> {
    const files = [...this.files.values()].filter(({ source }) => source.jobId === jobId);
    for (const { file } of files) this.changed.add(file);
    for (let portion = 0; portion < PORTIONS_AT_ONCE; portion += 1) {
      if (!files.some(({ file }) => this.changed.has(file))) return;
      await this.flush();
    }
  }

  close(): void {
    this.closed = true;
    this.watcher.close();
    for (const { watcher } of this.files.values()) watcher?.close();
    this.cancelFlush?.();
  }

  private watch(path: string, onChange: (name: string | null) => void): FSWatcher {
    const watcher = watch(path, { persistent: false }, (_event, name) => onChange(name));
    watcher.on('error', (error) => this.options.onError(error));
    return watcher;
  }

  /** A directory of macOS tells what is written to a file in it when the file is closed, which is when its host ends. */
  private watchFile(path: string): FSWatcher | undefined {
    if ((this.options.platform ?? process.platform) !== 'darwin') return undefined;
    return this.watch(path, () => this.touch(basename(path)));
  }

  private forget(file: string): void {
    this.files.get(file)?.watcher?.close();
    this.files.delete(file);
  }

  private touch(file: string): void {
    if (this.closed || !this.files.has(file)) return;
    this.changed.add(file);
    if (this.flushing || this.cancelFlush !== undefined) return;
    this.cancelFlush = this.options.clock.after(FLUSH_DELAY_MS, () => {
      this.cancelFlush = undefined;
      void this.flush();
    });
  }

  /** One after another: a portion is not sent twice. */
  private flush(): Promise<void> {
    this.flushed = this.flushed.then(() => this.flushChanged());
    return this.flushed;
  }

  private async flushChanged(): Promise<void> {
    this.flushing = true;
    const names = [...this.changed];
    this.changed.clear();
    for (const name of names) {
      const tracked = this.files.get(name);
      if (tracked === undefined) continue;
      // As it is before the size is looked at: what ends meanwhile may have written more.
      const { finished } = tracked;
      try {
        if (await this.read(tracked, finished)) this.changed.add(name);
        else if (finished) this.forget(name);
      } catch (error) {
        this.forget(name);
        this.options.onError(error);
      }
    }
    this.flushing = false;
    const [next] = this.changed;
    if (next !== undefined) this.touch(next);
  }

  /** Sends one portion; true when there is more. */
  private async read(tracked: TrackedFile, finished: boolean): Promise<boolean> {
    const path = join(this.options.directory, tracked.file);
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      // Truncated by somebody else.
      if (size < tracked.offset) tracked.offset = 0;
      this.refill(tracked);
      await skipFlood(tracked, handle, size);
      const more = await this.sendPortion(tracked, handle, { size, finished });
      if (more || size <= FILE_BYTES_MAX) return more;
    } finally {
      await handle.close();
    }
    await this.rotate(tracked, path);
    return false;
  }

  private refill(tracked: TrackedFile): void {
    const nowMs = this.options.clock.now();
    const earned = ((nowMs - tracked.budgetAtMs) / 1_000) * BYTES_PER_SECOND;
    tracked.budgetBytes = Math.min(BYTES_PER_SECOND, tracked.budgetBytes + Math.max(0, earned));
    tracked.budgetAtMs = nowMs;
  }

  private async sendPortion(
    tracked: TrackedFile,
    handle: FileHandle,
    { size, finished }: { size: number; finished: boolean },
  ): Promise<boolean> {
    const bytes = Buffer.alloc(Math.min(size - tracked.offset, READ_BYTES_MAX));
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, tracked.offset);
    const isLast = finished && tracked.offset + bytesRead >= size;
    const portion = bytes.subarray(0, bytesRead);
    // A line longer than a portion is cut; otherwise a cut is made at a line break.
    const isOneLongLine = bytesRead === READ_BYTES_MAX && !portion.includes(0x0a);
    const taken = takeLines(portion, isLast || isOneLongLine);
    tracked.offset += taken.bytes;
    tracked.budgetBytes -= taken.bytes;
    const note = this.noteOfFlood(tracked);
    const lines = note === undefined ? taken.lines : [note, ...taken.lines];
    if (lines.length > 0) this.options.publish(tracked.source, lines);
    return taken.bytes > 0 && tracked.offset < size;
  }

  /** One note for all that was passed over, when there is room for it again. */
  private noteOfFlood(tracked: TrackedFile): string | undefined {
    if (tracked.skippedBytes === 0) return undefined;
    if (tracked.budgetBytes <= 0 && !tracked.finished) {
      this.options.clock.after(NOTE_DELAY_MS, () => this.touch(tracked.file), { unref: true });
      return undefined;
    }
    const note = `[${tracked.skippedBytes} bytes not shown: too much output; all of it is in ${tracked.file}]`;
    tracked.skippedBytes = 0;
    return note;
  }

  private async rotate(tracked: TrackedFile, path: string): Promise<void> {
    // The host keeps its descriptor (opened for appending), so the file is copied and emptied, not renamed.
    await copyFile(path, `${path}.1`);
    await truncate(path, 0);
    tracked.offset = 0;
  }
}

/** Passes over what exceeds the budget, to the beginning of a line. */
async function skipFlood(tracked: TrackedFile, handle: FileHandle, size: number): Promise<void> {
  const allowed = Math.max(0, Math.floor(tracked.budgetBytes));
  if (size - tracked.offset <= allowed) return;
  let offset = size - Math.min(allowed, READ_BYTES_MAX);
  const probe = Buffer.alloc(size - offset);
  const { bytesRead } = await handle.read(probe, 0, probe.length, offset);
  const lineBreak = probe.subarray(0, bytesRead).indexOf(0x0a);
  if (lineBreak >= 0) offset += lineBreak + 1;
  tracked.skippedBytes += offset - tracked.offset;
  tracked.offset = offset;
}
