import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { accessSync, closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { nodeStart } from '@manta/runtime/certificates/node-start';
import type { ProcessId } from '@manta/runtime/ids';
import type { Clock } from '@manta/runtime/time/clock';
import type { ProcessAddress } from '@manta/runtime/wire/messages';
import type { AgentToHost, HostToAgent } from '../host/host-protocol.ts';
import { signalGroup, type ProcessGroups } from './process-groups.ts';

/** After the process is gone, how long its last messages are waited for. */
const LAST_MESSAGES_MS = 500;
const STDERR_TAIL_BYTES = 8 * 1024;

export interface HostProcessOptions {
  hostId: ProcessId;
  /** Path of the program that speaks `host-protocol.ts`. */
  entryFile: string;
  nodeArguments?: readonly string[];
  logDirectory: string;
  environment: NodeJS.ProcessEnv;
  groups: ProcessGroups;
  clock: Clock;
  onMessage(message: HostToAgent): void;
  /** Called once, after the last message. Also when the process could not be started. */
  onExit(exit: ProcessExit): void;
}

export interface ProcessExit {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  /** Why it could not be started. */
  error?: Error;
}

/**
 * One host process: a process group of its own, output straight into its two log files, and no survivor when it ends,
 * neither of the host when the agent dies nor of what the host started.
 */
export class HostProcess {
  readonly hostId: ProcessId;
  readonly outFile: string;
  readonly errorFile: string;
  /** Where its channel server listens, once it has said so. */
  address: ProcessAddress | undefined;
  private readonly child: ChildProcess;
  private readonly options: HostProcessOptions;
  private cancelKill: (() => void) | undefined;
  private exited = false;

  constructor(options: HostProcessOptions) {
    this.options = options;
    this.hostId = options.hostId;
    this.outFile = join(options.logDirectory, logFileName(options.hostId, 'out'));
    this.errorFile = join(options.logDirectory, logFileName(options.hostId, 'err'));
    this.child = this.start();
    if (this.pid !== undefined) options.groups.add(this.pid);
    this.child.on('message', (message) => options.onMessage(message as HostToAgent));
    this.watchExit();
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  get running(): boolean {
    return !this.exited && this.pid !== undefined;
  }

  /** Messages to a host that is gone are dropped: its exit tells the rest. */
  send(message: AgentToHost): void {
    if (!this.child.connected) return;
    this.child.send(message, ignoreSendError);
  }

  /** SIGTERM to the group, and SIGKILL to what is left of it after `graceMs`. */
  stop(graceMs: number): void {
    if (this.running) signalGroup(this.pid as number, 'SIGTERM');
    this.killAfter(graceMs);
  }

  /** Leaves the process `graceMs` to end by itself. */
  killAfter(graceMs: number): void {
    if (!this.running || this.cancelKill !== undefined) return;
    this.cancelKill = this.options.clock.after(graceMs, () => this.kill());
  }

  /** SIGKILL to the whole group at once. */
  kill(): void {
    if (this.running) signalGroup(this.pid as number, 'SIGKILL');
  }

  /** The end of its standard error; empty when the file is gone. */
  stderrTail(): string {
    let file: number;
    try {
      file = openSync(this.errorFile, 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw error;
    }
    try {
      const { size } = fstatSync(file);
      const tail = Buffer.alloc(Math.min(size, STDERR_TAIL_BYTES));
      readSync(file, tail, 0, tail.length, size - tail.length);
      return tail.toString('utf8');
    } finally {
      closeSync(file);
    }
  }

  private start(): ChildProcess {
    const { entryFile, nodeArguments = [] } = this.options;
    const start = nodeStart(this.options.environment);
    const out = openSync(this.outFile, 'a', 0o600);
    const error = openSync(this.errorFile, 'a', 0o600);
    try {
      const command = [process.execPath, ...start.nodeArguments, ...nodeArguments, entryFile];
      const wrapper = deathSignalWrapper();
      const [file, ...args] = [...wrapper, ...command] as [string, ...string[]];
      const options: SpawnOptions = {
        stdio: ['ignore', out, error, 'ipc'],
        serialization: 'advanced',
        // A group of its own: it can be signalled with all that it started, and Ctrl-C reaches the agent alone.
        detached: true,
        env: start.environment,
      };
      return spawn(file, args, options);
    } finally {
      closeSync(out);
      closeSync(error);
    }
  }

  private watchExit(): void {
    let reported = false;
    const report = (exit: ProcessExit): void => {
      if (reported) return;
      reported = true;
      this.options.onExit(exit);
    };
    this.child.on('error', (error) => {
      // Also raised by failed signals and sends; only a process that never was has no exit event.
      if (this.pid === undefined) report({ exitCode: null, signal: null, error });
    });
    this.child.once('exit', (exitCode, signal) => {
      this.exited = true;
      this.cancelKill?.();
      const pid = this.pid as number;
      // What the host started must not outlive it.
      signalGroup(pid, 'SIGKILL');
      this.options.groups.remove(pid);
      const exit = { exitCode, signal };
      const cancel = this.options.clock.after(LAST_MESSAGES_MS, () => report(exit));
      this.child.once('close', () => {
        cancel();
        report(exit);
      });
    });
  }
}

export function logFileName(hostId: ProcessId, stream: 'out' | 'err'): string {
  return `host-${hostId}.${stream}`;
}

/** The host may have ended between the check and the write; its exit event follows. */
function ignoreSendError(): void {}

let wrapper: readonly string[] | undefined;

/** `setpriv --pdeathsig` where it exists: the kernel ends a host whose agent is gone, whatever the host is doing. */
function deathSignalWrapper(): readonly string[] {
  if (wrapper !== undefined) return wrapper;
  const setpriv = process.platform === 'linux' ? findProgram('setpriv') : undefined;
  wrapper = setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'KILL', '--'];
  return wrapper;
}

function findProgram(name: string): string | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter).concat('/usr/bin', '/bin');
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
