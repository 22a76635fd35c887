/** A program that starts a private cluster, tells its parent how long that took, and ends it. */
import { init, shutdown } from '@manta/sdk';

const start = performance.now();
await init();
const elapsedMs = performance.now() - start;
await shutdown();
process.send?.(elapsedMs);
process.disconnect();
