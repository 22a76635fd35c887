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
import { checkSpill } from './spill-check.ts';

/** In the order in which one thing needs the other. */
export const CHECKS: readonly Check[] = [
  checkNode,
  checkHome,
  checkSharedMemory,
  checkSpill,
  checkFileLimit,
  checkProcessGuard,
  checkGpu,
  checkPort,
  checkCluster,
  checkClock,
];
