import { createRequire } from 'node:module';

/** Names the certificates' file to a process that Node.js itself has told nothing of it. */
export const DEFERRED_VARIABLE = 'MANTA_EXTRA_CA_CERTS';
const VARIABLE = 'NODE_EXTRA_CA_CERTS';
/** From this version on Node.js reads them when it needs them. */
const LAZY_SINCE_MAJOR = 22;
const PRELOADED = '@manta/runtime/certificates/trust-later';
/** Looked for once: hosts are started often. */
let preloadedFile: string | undefined;

/** With what to start a process of Node.js. */
export interface NodeStart {
  nodeArguments: readonly string[];
  environment: NodeJS.ProcessEnv;
}

/**
 * Before 22, Node.js reads the certificates that `NODE_EXTRA_CA_CERTS` names when it starts, and its own 140 with them:
 * longer than the rest of its start (nodejs/node#40524). A process that is started so reads them when it makes its
 * first TLS context, finds the variable as ever, and trusts whom it would have trusted; so do its worker threads.
 */
export function nodeStart(
  environment: NodeJS.ProcessEnv,
  nodeVersion: string = process.versions.node,
): NodeStart {
  const { [VARIABLE]: file, [DEFERRED_VARIABLE]: _former, ...others } = environment;
  if (file === undefined || file === '') return { nodeArguments: [], environment: others };
  // The module that is preloaded is an ES module.
  const canPreload = process.features.require_module;
  if (Number.parseInt(nodeVersion, 10) >= LAZY_SINCE_MAJOR || !canPreload)
    return { nodeArguments: [], environment: { ...others, [VARIABLE]: file } };
  preloadedFile ??= createRequire(import.meta.url).resolve(PRELOADED);
  return {
    nodeArguments: ['--require', preloadedFile],
    environment: { ...others, [DEFERRED_VARIABLE]: file },
  };
}
