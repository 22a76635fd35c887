import { checkClock, checkCluster, checkPort } from './cluster-checks.ts';
import type { Check } from './finding.ts';
import {
  checkFileLimit,
  checkGpu,
  checkHome,
  checkNode,
  checkProcessGuard,
  checkSharedMemory,
} from './machine-checks.ts';

/** In the order in which one thing needs the other. */
export const CHECKS: readonly Check[] = [
  checkNode,
  checkHome,
  checkSharedMemory,
  checkFileLimit,
  checkProcessGuard,
  checkGpu,
  checkPort,
  checkCluster,
  checkClock,
];
