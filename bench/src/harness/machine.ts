import { cpus, release, totalmem } from 'node:os';

export interface Machine {
  cpu: string;
  cores: number;
  memoryBytes: number;
  platform: string;
  nodeVersion: string;
  /** ISO 8601. */
  date: string;
}

export function describeMachine(now: Date = new Date()): Machine {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    platform: `${process.platform} ${process.arch} ${release()}`,
    nodeVersion: process.version,
    date: now.toISOString(),
  };
}

/** How many servers the 1:n and n:n rows use: Ray's `multiprocessing.cpu_count() // 2`. */
export function serverCount(cores: number = cpus().length): number {
  return Math.max(1, Math.floor(cores / 2));
}
