import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import { DEFERRED_VARIABLE } from './node-start.ts';
import { trustExtraCertificates } from './extra-certificates.ts';

/** Preloaded by the processes that `nodeStart` describes, and by their worker threads, before anything else runs. */
const file = isMainThread ? process.env[DEFERRED_VARIABLE] : getEnvironmentData(DEFERRED_VARIABLE);
if (typeof file === 'string') {
  trustExtraCertificates(file);
  if (isMainThread) {
    setEnvironmentData(DEFERRED_VARIABLE, file);
    // What this process starts by itself is not preloaded.
    process.env['NODE_EXTRA_CA_CERTS'] = file;
    delete process.env[DEFERRED_VARIABLE];
  }
}
