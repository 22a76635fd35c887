import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { machineId } from '../channel/machine-id.ts';

/** Which process made a store, so that a later start can tell that it is dead. */
export interface StoreOwner {
  pid: number;
  /** In clock ticks since boot; process ids are used again. Undefined where the system does not tell. */
  startTime: string | undefined;
  /** Host name and boot. */
  machine: string;
  /** Process ids of another container mean nothing here. */
  pidNamespace: string | undefined;
}

const ownerPath = (directory: string): string => `${directory}/owner.json`;

export function writeStoreOwner(directory: string): void {
  const owner: StoreOwner = {
    ...hereAndNow(),
    pid: process.pid,
    startTime: startTimeOf(process.pid),
  };
  writeFileSync(ownerPath(directory), JSON.stringify(owner), { mode: 0o600, flag: 'wx' });
}

/** Undefined when the file is missing or unreadable. */
export function readStoreOwner(directory: string): StoreOwner | undefined {
  try {
    const owner = JSON.parse(
      readFileSync(ownerPath(directory), 'utf8'),
    ) as Partial<StoreOwner> | null;
    if (typeof owner?.pid !== 'number' || typeof owner.machine !== 'string') return undefined;
    const { pid, machine, startTime, pidNamespace } = owner;
    return { pid, machine, startTime, pidNamespace };
  } catch {
    // Cut off while it was written, or never written: the caller judges by age.
    return undefined;
  }
}

/** 'unknown': it may live in another container. */
export function ownerState(owner: StoreOwner): 'alive' | 'dead' | 'unknown' {
  const here = hereAndNow();
  if (owner.machine !== here.machine)
    return bootOf(owner.machine) === bootOf(here.machine) ? 'unknown' : 'dead';
  if (owner.pidNamespace !== here.pidNamespace) return 'unknown';
  if (!isAlive(owner.pid)) return 'dead';
  return startTimeOf(owner.pid) === owner.startTime ? 'alive' : 'dead';
}

const hereAndNow = (): Pick<StoreOwner, 'machine' | 'pidNamespace'> => ({
  machine: machineId(),
  pidNamespace: textOf(() => readlinkSync('/proc/self/ns/pid')),
});

const bootOf = (machine: string): string => machine.slice(machine.lastIndexOf('/') + 1);

/** Field 22; the name of the program, in brackets before it, may hold anything. */
const startTimeOf = (pid: number): string | undefined =>
  textOf(() => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ')[19]);

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function textOf(read: () => string | undefined): string | undefined {
  try {
    return read();
  } catch {
    // Not Linux, or the process is gone.
    return undefined;
  }
}
