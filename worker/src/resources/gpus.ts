import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { GpuDevice } from '@manta/runtime/wire/messages';

const QUERY = ['--query-gpu=index,uuid,name,memory.total', '--format=csv,noheader,nounits'];
const QUERY_TIMEOUT_MS = 2_000;
const BYTES_PER_MIB = 1024 * 1024;
/** Present when a driver is loaded; `dxg` is the one of WSL. Looking is free, running nvidia-smi is not. */
const DEVICE_FILES = ['/dev/nvidiactl', '/dev/nvidia0', '/dev/dxg'];

/** Runs a program and gives its standard output. */
export type Execute = (file: string, args: readonly string[], timeoutMs: number) => Promise<string>;

export interface GpuProbe {
  execute: Execute;
  deviceFileExists(): boolean;
  /** `CUDA_VISIBLE_DEVICES` of this process: what the operator lets Manta use. */
  visibleDevices: string | undefined;
}

export const systemGpuProbe = (environment: NodeJS.ProcessEnv = process.env): GpuProbe => ({
  execute: executeFile,
  deviceFileExists: () => DEVICE_FILES.some((file) => existsSync(file)),
  visibleDevices: environment['CUDA_VISIBLE_DEVICES'],
});

export interface GpuDetection {
  gpus: GpuDevice[];
  /** Why nothing was found although there is a device file. */
  problem?: string;
}

/** The NVIDIA devices of this machine that may be used. None is a normal answer; so is a driver that does not reply. */
export async function detectGpus(probe: GpuProbe): Promise<GpuDetection> {
  if (!probe.deviceFileExists()) return { gpus: [] };
  try {
    const output = await probe.execute('nvidia-smi', QUERY, QUERY_TIMEOUT_MS);
    return { gpus: onlyVisible(parseGpuList(output), probe.visibleDevices) };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { gpus: [], problem: `nvidia-smi gave no devices: ${problem}` };
  }
}

/** One device per line: `0, GPU-5f1c…, NVIDIA H100 80GB HBM3, 81559` (MiB). Lines that are not that are skipped. */
export function parseGpuList(output: string): GpuDevice[] {
  const devices: GpuDevice[] = [];
  for (const line of output.split('\n')) {
    const [index, uuid, model, memoryMib] = line.split(',').map((part) => part.trim());
    if (!uuid || !model || !/^\d+$/.test(index ?? '')) continue;
    // Some devices report "[N/A]" because they share the machine's memory.
    const mib = /^\d+$/.test(memoryMib ?? '') ? Number(memoryMib) : 0;
    devices.push({ index: Number(index), uuid, model, memoryBytes: mib * BYTES_PER_MIB });
  }
  return devices;
}

/**
 * What CUDA would show under this value: entries are indexes or the beginning of a UUID, and the list ends at the
 * first entry that names no device. Unset shows all, an empty value none.
 */
export function onlyVisible(devices: GpuDevice[], visibleDevices: string | undefined): GpuDevice[] {
  if (visibleDevices === undefined) return devices;
  const shown: GpuDevice[] = [];
  for (const entry of visibleDevices.split(',').map((part) => part.trim())) {
    const device = devices.find((candidate) => isNamedBy(candidate, entry));
    if (device === undefined || shown.includes(device)) break;
    shown.push(device);
  }
  return shown;
}

function isNamedBy(device: GpuDevice, entry: string): boolean {
  if (/^\d+$/.test(entry)) return device.index === Number(entry);
  return entry.startsWith('GPU-') && device.uuid.startsWith(entry);
}

export interface SimulatedGpus {
  count: number;
  memoryBytes: number;
  model: string;
}

/** Devices that exist in the scheduler's books alone, for tests and for trying out placements. */
export function simulateGpus(simulated: SimulatedGpus): GpuDevice[] {
  return Array.from({ length: simulated.count }, (_, index) => ({
    index,
    uuid: `simulated-${index}`,
    model: simulated.model,
    memoryBytes: simulated.memoryBytes,
  }));
}

const executeFile: Execute = (file, args, timeoutMs) =>
  new Promise((resolve, reject) => {
    execFile(
      file,
      [...args],
      { timeout: timeoutMs, killSignal: 'SIGKILL', encoding: 'utf8' },
      (error, stdout) => {
        if (error) reject(error);
        else resolve(stdout);
      },
    );
  });
