import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { machineId } from '../channel/machine-id.ts';
import { processStart } from './process-start.ts';

/** Which process made a store, so that a later start can tell that it is dead. */
export interface StoreOwner {
  pid: number;
  /** See `processStart`: process ids are used again. Undefined where the system does not tell. */
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
    startTime: processStart(process.pid),
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
  const startTime = processStart(owner.pid);
  // Unless both are known, a living process counts as the owner.
  if (startTime === undefined || owner.startTime === undefined) return 'alive';
  return startTime === owner.startTime ? 'alive' : 'dead';
}

const hereAndNow = (): Pick<StoreOwner, 'machine' | 'pidNamespace'> => ({
  machine: machineId(),
  pidNamespace: ownPidNamespace(),
});

const bootOf = (machine: string): string => machine.slice(machine.lastIndexOf('/') + 1);

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function ownPidNamespace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    // Not Linux.
    return undefined;
  }
}
