import { createIdMint } from '@manta/runtime/ids';
import { describe, expect, it } from 'vitest';
import { JobTable, stepJob, type JobRecord } from './job-table.ts';
import { ProcessTable } from './process-table.ts';

let counter = 0;
const mint = createIdMint((target) => {
  new DataView(target.buffer).setUint32(0, counter++);
  for (let index = 0; index < target.length; index++) target[index] = (counter >> index) & 31;
});
const job = (): JobRecord => ({
  jobId: mint('job'),
  processId: mint('process'),
  entrypoint: 'x.js',
  pid: 1,
  hostname: 'h',
  namespace: 'n',
  startedAt: 0,
  state: 'running',
});

describe('jobs', () => {
  it('2: succeed when the driver says so, whatever happens to it later', () => {
    const record = job();
    expect(stepJob(record, { type: 'ended' }, 5)).toBe(true);
    expect(stepJob(record, { type: 'driver-lost' }, 6)).toBe(false);
    expect(record).toMatchObject({ state: 'succeeded', endedAt: 5 });
  });

  it('3: fail when the driver is gone without a word', () => {
    const record = job();
    stepJob(record, { type: 'driver-lost' }, 5);
    expect(record.state).toBe('failed');
  });

  it('are forgotten oldest first once ended, never while they run', () => {
    const table = new JobTable();
    const [running, ended, next] = [job(), job(), job()];
    stepJob(ended, { type: 'ended' }, 1);
    table.add(running, 2);
    table.add(ended, 2);
    expect(table.add(next, 2)).toEqual([ended.jobId]);
    expect([...table.all()]).toEqual([running, next]);
  });
});

describe('processes', () => {
  it('1, 4: are known from the first mention until they end, and not again', () => {
    const table = new ProcessTable();
    const processId = mint('process');
    const entry = table.mention(processId);
    expect(table.mention(processId)).toBe(entry);
    expect(table.end(processId)).toBe(entry);
    expect(table.mention(processId)).toBeUndefined();
    expect(table.end(processId)).toBeUndefined();
    expect(table.hasEnded(processId)).toBe(true);
  });
});
