import { spawn, type ChildProcess } from 'node:child_process';

/**
 * Reads `+ pid` and `- pid` lines; when the pipe closes, its writer is gone and the groups that are left are ended.
 * A shell, because it must cost next to nothing and outlive this process.
 */
const SCRIPT = `
groups=
while read -r change pid; do
  if [ "$change" = + ]; then groups="$groups $pid"; continue; fi
  left=
  for group in $groups; do [ "$group" = "$pid" ] || left="$left $group"; done
  groups=$left
done
for group in $groups; do kill -KILL "-$group"; done
`;

/**
 * Ends the hosts' process groups when the agent dies without a chance to do it. The kernel's death signal ends the
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
