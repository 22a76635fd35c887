import { describe, expect, it } from 'vitest';
import { testMint } from '../testing/fake-head.ts';
import { detectCpus, detectMemoryBytes, readOomKills } from './cpu-and-memory.ts';
import { detectGpus, onlyVisible, parseGpuList, type GpuProbe } from './gpus.ts';
import { detectNodeResources, nodeLabels } from './node-resources.ts';

const GIB = 1024 ** 3;
const OUTPUT = [
  '0, GPU-11111111-aaaa, NVIDIA A100-SXM4-80GB, 81920',
  '1, GPU-22222222-bbbb, NVIDIA A100-SXM4-80GB, 81920',
  '2, GPU-23333333-cccc, NVIDIA GB10, [N/A]',
  '',
].join('\n');

const probe = (overrides: Partial<GpuProbe> = {}): GpuProbe => ({
  execute: () => Promise.resolve(OUTPUT),
  deviceFileExists: () => true,
  visibleDevices: undefined,
  ...overrides,
});

describe('GPUs', () => {
  it('are read from nvidia-smi, memory in bytes', () => {
    expect(parseGpuList(OUTPUT)).toEqual([
      {
        index: 0,
        uuid: 'GPU-11111111-aaaa',
        model: 'NVIDIA A100-SXM4-80GB',
        memoryBytes: 80 * GIB,
      },
      {
        index: 1,
        uuid: 'GPU-22222222-bbbb',
        model: 'NVIDIA A100-SXM4-80GB',
        memoryBytes: 80 * GIB,
      },
      { index: 2, uuid: 'GPU-23333333-cccc', model: 'NVIDIA GB10', memoryBytes: 0 },
    ]);
    expect(parseGpuList('No devices were found\n')).toEqual([]);
  });

  it.each([
    [undefined, [0, 1, 2]],
    ['', []],
    ['-1', []],
    ['2,0', [2, 0]],
    ['1,7,0', [1]],
    ['1,1', [1]],
    ['GPU-22222222,GPU-1', [1, 0]],
  ])('CUDA_VISIBLE_DEVICES=%s shows %j', (visible, expected) => {
    expect(onlyVisible(parseGpuList(OUTPUT), visible).map(({ index }) => index)).toEqual(expected);
  });

  it('are not looked for without a device file, and a failing tool is told, not thrown', async () => {
    const never = (): Promise<string> => Promise.reject(new Error('must not run'));
    expect(await detectGpus(probe({ deviceFileExists: () => false, execute: never }))).toEqual({
      gpus: [],
    });
    const found = await detectGpus(
      probe({ execute: () => Promise.reject(new Error('timed out')) }),
    );
    expect(found).toEqual({ gpus: [], problem: 'nvidia-smi gave no devices: timed out' });
  });

  it('options limit, add, simulate', async () => {
    const indexes = async (options: Parameters<typeof detectNodeResources>[0]): Promise<number[]> =>
      (await detectNodeResources(options, probe())).capacity.gpus.map(({ index }) => index);
    expect(await indexes({ gpus: 0 })).toEqual([]);
    expect(await indexes({ gpus: 1 })).toEqual([0]);
    expect(await indexes({ gpus: 5 })).toEqual([0, 1, 2, 3, 4]);
    await expect(indexes({ gpus: 1.5 })).rejects.toThrow(/whole GPUs; got gpus: 1.5/);
    expect(await indexes({ simulatedGpus: { count: 2, memoryBytes: GIB, model: 'T4' } })).toEqual([
      0, 1,
    ]);
  });
});

describe('CPU and memory', () => {
  const files = (entries: Record<string, string>) => (path: string) => entries[path];

  it('respect cgroups of version 2', () => {
    const read = files({
      '/proc/self/cgroup': '0::/kubepods/pod1\n',
      '/sys/fs/cgroup/kubepods/pod1/memory.max': `${GIB}\n`,
      '/sys/fs/cgroup/kubepods/pod1/cpu.max': '100000 100000\n',
      '/sys/fs/cgroup/kubepods/pod1/memory.events': 'low 0\noom 2\noom_kill 3\n',
    });
    expect(detectMemoryBytes(read, 8 * GIB)).toBe(GIB);
    expect(detectCpus(read)).toBe(1);
    expect(readOomKills(read)).toBe(3);
  });

  it('respect cgroups of version 1, and no limit is none', () => {
    const read = files({
      '/proc/self/cgroup': '4:memory:/docker/x\n1:cpu,cpuacct:/docker/x\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
      '/sys/fs/cgroup/memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    });
    expect(detectMemoryBytes(read, 8 * GIB)).toBe(8 * GIB);
    expect(detectCpus(read)).toBeGreaterThanOrEqual(1);
    expect(readOomKills(read)).toBe(1);
    expect(readOomKills(files({}))).toBeUndefined();
  });

  it('options win', async () => {
    const options = { cpus: 7, memoryBytes: 5, resources: { disk: 2 } };
    const { capacity } = await detectNodeResources(
      options,
      probe({ deviceFileExists: () => false }),
    );
    expect(capacity).toEqual({ ...options, gpus: [] });
  });
});

it('labels name the node, the host and the accelerator; the node id cannot be overridden', () => {
  const nodeId = testMint('node');
  const labels = nodeLabels(nodeId, parseGpuList(OUTPUT), { zone: 'a', 'manta/node-id': 'mine' });
  expect(labels).toMatchObject({
    'manta/node-id': nodeId,
    'manta/accelerator-type': 'NVIDIA A100-SXM4-80GB',
    zone: 'a',
  });
  expect(nodeLabels(nodeId, [])).not.toHaveProperty('manta/accelerator-type');
});
