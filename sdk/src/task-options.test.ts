import { describe, expect, it } from 'vitest';
import type { SdkSession } from './session.ts';
import { templateFrom } from './task-options.ts';
import type { TaskOptions } from './types.ts';

const session = {
  core: { processId: 'p_1' },
  jobId: 'j_1',
  namespace: 'mine',
  env: { A: 'job', B: 'job' },
  setupTimeoutMs: 9,
} as unknown as SdkSession;
const template = (options: TaskOptions) => templateFrom(options, session);

describe('what a task worker is asked for with', () => {
  it('has the environment of the job under that of the task', () => {
    expect(template({})).toMatchObject({ env: session.env, setupTimeoutMs: 9 });
    const runtimeEnv = { env: { B: 'task' }, setupTimeoutMs: 5 };
    const env = { A: 'job', B: 'task' };
    expect(template({ runtimeEnv })).toMatchObject({ env, setupTimeoutMs: 5 });
  });

  it('is one CPU, unless told', () => {
    expect(template({}).demand.resources.cpus).toBe(1);
    expect(template({ cpus: 0.5, gpus: 1 }).demand.resources).toMatchObject({ cpus: 0.5, gpus: 1 });
  });
});
