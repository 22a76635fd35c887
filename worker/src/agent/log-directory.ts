import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import type { ActorId, ProcessId } from '@manta/runtime/ids';
import type { NodeLogs, NodeLogsReply } from '@manta/runtime/wire/log-messages';
import type { InferOutput } from 'valibot';
import { logFileName } from '../pool/host-process.ts';

const TAIL_LINES = 100;
const TEXT_BYTES_MAX = 1024 * 1024;
const ACTORS_REMEMBERED = 200_000;
const ENDED_HOSTS_KEPT = 500;

type LogsRequest = InferOutput<typeof NodeLogs>;
type LogsReply = InferOutput<typeof NodeLogsReply>;

/** The log files of a node and which actor wrote where; also of actors that are over. */
export class LogDirectory {
  private readonly directory: string;
  private readonly hostOfActor = new Map<ActorId, ProcessId>();
  private readonly endedHosts: ProcessId[] = [];

  constructor(directory: string) {
    this.directory = directory;
  }

  actorOn(actorId: ActorId, hostId: ProcessId): void {
    this.hostOfActor.delete(actorId);
    this.hostOfActor.set(actorId, hostId);
    if (this.hostOfActor.size <= ACTORS_REMEMBERED) return;
    const [oldest] = this.hostOfActor.keys();
    if (oldest !== undefined) this.hostOfActor.delete(oldest);
  }

  /** The files of the last hosts that ended are kept, older ones go. */
  async hostEnded(hostId: ProcessId): Promise<void> {
    this.endedHosts.push(hostId);
    if (this.endedHosts.length <= ENDED_HOSTS_KEPT) return;
    const oldest = this.endedHosts.shift() as ProcessId;
    for (const file of [logFileName(oldest, 'out'), logFileName(oldest, 'err')]) {
      await rm(join(this.directory, file), { force: true });
      await rm(join(this.directory, `${file}.1`), { force: true });
    }
  }

  /** @throws InvalidArgumentError when the file or the actor is not known here. */
  async answer(request: LogsRequest): Promise<LogsReply> {
    const files = await this.list();
    if (request.file !== undefined) {
      const known = files.find(({ file }) => file === request.file);
      if (known === undefined)
        throw new InvalidArgumentError(`there is no log file ${request.file} on this node`);
      return { files: [known], ...(await this.read(known.file, request)) };
    }
    if (request.actorId === undefined) return { files };
    const hostId = this.hostOfActor.get(request.actorId as ActorId);
    if (hostId === undefined) {
      throw new InvalidArgumentError(`no actor ${request.actorId} has run on this node`);
    }
    const own = files.filter(
      ({ file }) => file.startsWith(`host-${hostId}.`) && !file.endsWith('.1'),
    );
    // .err before .out in the alphabet; people expect the output first.
    own.sort((a, b) => b.file.localeCompare(a.file));
    const texts = await Promise.all(own.map(({ file }) => this.read(file, request)));
    return { files: own, text: texts.map(({ text }) => text).join('') };
  }

  private async list(): Promise<{ file: string; bytes: number }[]> {
    const names = (await readdir(this.directory)).sort();
    const files = await Promise.all(
      names.map(async (file) => {
        const bytes = await stat(join(this.directory, file)).then(
          (found) => (found.isFile() ? found.size : undefined),
          () => undefined,
        );
        return bytes === undefined ? [] : [{ file, bytes }];
      }),
    );
    return files.flat();
  }

  private async read(
    file: string,
    request: LogsRequest,
  ): Promise<{ text: string; nextOffset: number }> {
    const handle = await open(join(this.directory, file), 'r');
    try {
      const { size } = await handle.stat();
      const wantsTail = request.offset === undefined;
      const start = wantsTail
        ? Math.max(0, size - TEXT_BYTES_MAX)
        : Math.min(request.offset ?? 0, size);
      const bytes = Buffer.alloc(Math.min(size - start, TEXT_BYTES_MAX));
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
      const text = bytes.toString('utf8', 0, bytesRead);
      return {
        text: wantsTail ? lastLines(text, request.tailLines ?? TAIL_LINES) : text,
        nextOffset: start + bytesRead,
      };
    } finally {
      await handle.close();
    }
  }
}

/** The last `count` lines; a trailing line break does not count as a line. */
export function lastLines(text: string, count: number): string {
  if (count === 0) return '';
  let start = text.endsWith('\n') ? text.length - 1 : text.length;
  for (let lines = 0; lines < count && start >= 0; lines += 1)
    start = text.lastIndexOf('\n', start - 1);
  return start < 0 ? text : text.slice(start + 1);
}
