import type { Context } from '../context.ts';
import type { CommonOptions } from '../options.ts';

export interface Finding {
  /** What was looked at. */
  what: string;
  /** `note`: works, but something is limited. */
  level: 'ok' | 'note' | 'problem';
  found: string;
  /** What to do about it; absent when there is nothing to do. */
  todo?: string;
}
export interface DoctorOptions extends CommonOptions {
  port: string;
  spill?: string;
}
export type Check = (context: Context, options: DoctorOptions) => Promise<Finding>;
