const STEPS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** For people: three figures at most, in the largest unit of 1024 that is filled. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let step = 0;
  while (value >= 1024 && step < STEPS.length - 1) {
    value /= 1024;
    step += 1;
  }
  return `${step === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ${STEPS[step]}`;
}
