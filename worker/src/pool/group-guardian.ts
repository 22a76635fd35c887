import { spawn, type ChildProcess } from 'node:child_process';

/**
 * Reads `+ pid`, `- pid` and `d directory` lines; when the pipe closes, its writer is gone, the groups that are left are
 * ended and the directories removed (again, while somebody who is being ended still makes files there). A shell, because it must cost next to nothing and outlive this process.
 */
const SCRIPT = `
groups=
while read -r change pid; do
  if [ "$change" = d ]; then set -- "$@" "$pid"; continue; fi
  if [ "$change" = + ]; then groups="$groups $pid"; continue; fi
  left=
  for group in $groups; do [ "$group" = "$pid" ] || left="$left $group"; done
  groups=$left
done
for group in $groups; do kill -KILL "-$group"; done
for attempt in 1 2 3 4 5; do rm -rf -- "$@" && break; sleep 0.1; done
`;

/**
 * Ends the hosts' process groups, and removes the object store, when the agent dies without a chance to do it. The kernel's death signal ends the
 * hosts themselves where it exists; what they started is ended by nobody else.
 */
export class GroupGuardian {
  private readonly child: ChildProcess;

  constructor(onError: (error: Error) => void) {
    this.child = spawn('/bin/sh', ['-c', SCRIPT], {
      stdio: ['pipe', 'ignore', 'ignore'],
      // A signal meant for the agent's group must not take the guardian first.
      detached: true,
    });
    this.child.on('error', onError);
    this.child.stdin?.on('error', onError);
    this.child.unref();
  }

  add(pid: number): void {
    this.write(`+ ${pid}\n`);
  }

  remove(pid: number): void {
    this.write(`- ${pid}\n`);
  }

  /** A directory without line breaks in its name. */
  removeAtEnd(directory: string): void {
    this.write(`d ${directory}\n`);
  }

  /** Resolves when it has ended. The groups that were not removed are ended with it. */
  async close(): Promise<void> {
    const { child } = this;
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.stdin?.end();
    await exited;
  }

  private write(line: string): void {
    if (this.child.stdin?.writable) this.child.stdin.write(line);
  }
}
