import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const MANTA = fileURLToPath(new URL('../../../../cli/bin/manta.mjs', import.meta.url));
const SUBNET = '10.77.0';
const NEEDS =
  'Tests of several machines need Linux, root, and ip, tc, nft, unshare and nsenter (iproute2, nftables, util-linux)';

/**
 * Several machines on one, made of what containers are made of: each has its own network stack, host name, processes,
 * shared memory and home, and a cable to one switch. The file system is the same, as with a shared disk, except for
 * `directory`, which each machine has its own of: by no path can one reach the Unix sockets or files of another's.
 *
 *     a ──┐
 *     b ──┼── switch (a bridge)          10.77.0.0/24
 *     c ──┘
 *
 * Nothing is made outside these namespaces, so nothing is left however the test ends: the kernel takes a machine down
 * with the process that keeps it, and that one ends with the standard input that the test holds.
 */
export class MachineNetwork {
  readonly #directory: string;
  readonly #switch: Keeper;
  readonly #machines: Machine[] = [];

  private constructor(directory: string, keeper: Keeper) {
    this.#directory = directory;
    this.#switch = keeper;
  }

  /** @throws Error that says what is missing, where namespaces cannot be made. */
  static async create(): Promise<MachineNetwork> {
    const directory = mkdtempSync(join(tmpdir(), 'manta-m-'));
    try {
      const keeper = await Keeper.start('switch', directory);
      const network = new MachineNetwork(directory, keeper);
      await network.#inSwitch('ip', 'link', 'add', 'bridge0', 'type', 'bridge');
      await network.#inSwitch('ip', 'link', 'set', 'bridge0', 'up');
      return network;
    } catch (error) {
      rmSync(directory, { recursive: true, force: true });
      throw new Error(`${NEEDS}: ${(error as Error).message}`, { cause: error });
    }
  }

  async addMachine(name: string): Promise<Machine> {
    const keeper = await Keeper.start(name, this.#directory);
    const number = this.#machines.length + 1;
    const machine = new Machine(name, `${SUBNET}.${number}`, this.#directory, keeper);
    this.#machines.push(machine);
    const port = `port${number}`;
    const peer = ['peer', 'name', 'eth0', 'netns', String(keeper.pid)];
    await this.#inSwitch('ip', 'link', 'add', port, 'type', 'veth', ...peer);
    await this.#inSwitch('ip', 'link', 'set', port, 'master', 'bridge0', 'up');
    await machine.run('ip', ['address', 'add', `${machine.ip}/24`, 'dev', 'eth0']);
    await machine.plugIn();
    return machine;
  }

  async #inSwitch(program: string, ...args: string[]): Promise<void> {
    // Only its network: `ip` names the other end's machine by a process number of this one.
    const target = ['--target', String(this.#switch.pid), '--net', '--'];
    await run('nsenter', [...target, program, ...args]);
  }

  /** Turns all machines off. */
  async close(): Promise<void> {
    await Promise.all([...this.#machines.map((machine) => machine.turnOff()), this.#switch.end()]);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** One machine of a MachineNetwork. */
export class Machine {
  readonly name: string;
  readonly ip: string;
  /** The home, and the place for temporary files, of this machine alone. */
  readonly directory: string;
  readonly #keeper: Keeper;

  constructor(name: string, ip: string, directory: string, keeper: Keeper) {
    this.name = name;
    this.ip = ip;
    this.directory = directory;
    this.#keeper = keeper;
  }

  /** A process on this machine, with pipes. */
  spawn(program: string, args: readonly string[]): ChildProcess {
    return spawn('nsenter', [...this.#keeper.namespaces, program, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: this.#environment(),
    });
  }

  /** @throws Error with what a program that failed has printed. */
  async run(program: string, args: readonly string[]): Promise<string> {
    const all = [...this.#keeper.namespaces, program, ...args];
    const { stdout } = await run('nsenter', all, { env: this.#environment() });
    return stdout;
  }

  /** The `manta` command with `--json`, and what it printed. */
  async manta<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.run(process.execPath, [MANTA, ...args, '--json'])) as T;
  }

  #environment(): NodeJS.ProcessEnv {
    const { PATH } = process.env;
    return { PATH, HOME: this.directory, TMPDIR: this.directory };
  }

  async writeFile(name: string, text: string): Promise<string> {
    const path = join(this.directory, name);
    const writer = this.spawn('tee', [path]);
    (writer.stdout as Readable).resume();
    (writer.stdin as Writable).end(text);
    await once(writer, 'exit');
    return path;
  }

  readFile(path: string): Promise<string> {
    return this.run('cat', [path]);
  }

  /** Pulls the cable: packets are lost, and nobody is told. */
  async unplug(): Promise<void> {
    await this.run('ip', ['link', 'set', 'eth0', 'down']);
  }

  async plugIn(): Promise<void> {
    await this.run('ip', ['link', 'set', 'eth0', 'up']);
  }

  /** From now on what it sends leaves it so slowly. */
  async throttle(megabytesPerSecond: number): Promise<void> {
    const rate = ['rate', `${8 * megabytesPerSecond}mbit`, 'burst', '1mb', 'latency', '50ms'];
    await this.run('tc', ['qdisc', 'replace', 'dev', 'eth0', 'root', 'tbf', ...rate]);
  }

  /** What is opened from here to that port of the other machine goes to a port of this one, but for some. */
  async redirect(
    to: { machine: Machine; port: number },
    ownPort: number,
    exceptFrom: { first: number; last: number },
  ): Promise<void> {
    const target = `ip daddr ${to.machine.ip} tcp dport ${to.port}`;
    const rules = [
      'table ip detour {',
      '  chain output {',
      '    type nat hook output priority -100;',
      `    ${target} tcp sport != ${exceptFrom.first}-${exceptFrom.last} redirect to :${ownPort}`,
      '  }',
      '}',
    ];
    await this.run('nft', ['-f', await this.writeFile('detour.nft', rules.join('\n'))]);
  }

  /** Bytes that came over its cable. */
  async receivedBytes(): Promise<number> {
    const interfaces = await this.run('cat', ['/proc/net/dev']);
    return Number(/eth0:\s*(\d+)/.exec(interfaces)?.[1]);
  }

  /** A firewall that drops whatever others want to open here; connections to elsewhere, and their answers, pass. */
  async closeToOthers(): Promise<void> {
    const rules = [
      'table inet firewall {',
      '  chain input {',
      '    type filter hook input priority 0; policy accept;',
      '    iif "lo" accept',
      '    ct state established,related accept',
      '    meta l4proto tcp counter drop',
      '  }',
      '}',
    ];
    await this.run('nft', ['-f', await this.writeFile('firewall.nft', rules.join('\n'))]);
  }

  /** How many packets the firewall has dropped. */
  async droppedPackets(): Promise<number> {
    const rules = await this.run('nft', ['list', 'chain', 'inet', 'firewall', 'input']);
    return Number(/counter packets (\d+)/.exec(rules)?.[1]);
  }

  /** TCP connections to or from another machine, apart from those to a port (the broker's). */
  async connectionsWith(other: Machine, exceptPort: number): Promise<string[]> {
    const filter = `dst ${other.ip} and sport != :${exceptPort} and dport != :${exceptPort}`;
    const rows = await this.run('ss', ['-Htn', 'state', 'established', filter]);
    return rows.split('\n').filter((row) => row !== '');
  }

  /** Those of them that the other machine has opened. */
  async connectionsFrom(other: Machine, exceptPort: number): Promise<string[]> {
    const listening = await this.run('ss', ['-Htln']);
    const portOf = (address: string | undefined) => address?.slice(address.lastIndexOf(':') + 1);
    const ports = new Set(listening.split('\n').map((row) => portOf(row.split(/\s+/)[3])));
    const rows = await this.connectionsWith(other, exceptPort);
    return rows.filter((row) => ports.has(portOf(row.split(/\s+/)[2])));
  }

  /** Ends every process on it at once, without a word to anybody. */
  async turnOff(): Promise<void> {
    await this.#keeper.end();
  }
}

/** What a machine does when it starts; then it only waits for orphans, and for the end of its standard input. */
const START = `
set -e
hostname "$1"
mount -t tmpfs tmpfs "$2"
mount -t tmpfs tmpfs /dev/shm
ip link set lo up
echo up
while read -r _; do :; done
`;

/** The process that keeps a machine's namespaces; the first process of the machine. */
class Keeper {
  readonly pid: number;
  readonly #unshare: ChildProcess;

  private constructor(unshare: ChildProcess, pid: number) {
    this.#unshare = unshare;
    this.pid = pid;
  }

  static async start(name: string, directory: string): Promise<Keeper> {
    const kinds = ['--net', '--uts', '--ipc', '--mount', '--pid', '--fork', '--kill-child'];
    const child = spawn(
      'unshare',
      [...kinds, '--mount-proc', 'bash', '-c', START, 'machine', name, directory],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    let complaint = '';
    (child.stderr as Readable).on('data', (text: Buffer) => {
      complaint += text.toString();
    });
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', () => reject(new Error(complaint.trim() || 'unshare ended')));
      createInterface({ input: child.stdout as Readable }).once('line', () => resolve());
    });
    const { stdout } = await run('ps', ['-o', 'pid=', '--ppid', String(child.pid)]);
    return new Keeper(child, Number(stdout));
  }

  /** Arguments of nsenter. */
  get namespaces(): string[] {
    const target = ['--target', String(this.pid)];
    return [...target, '--net', '--uts', '--ipc', '--mount', '--pid', '--wd=/', '--'];
  }

  async end(): Promise<void> {
    if (this.#unshare.exitCode !== null || this.#unshare.signalCode !== null) return;
    const ended = once(this.#unshare, 'exit');
    (this.#unshare.stdin as Writable).end();
    await ended;
  }
}
