/** Read when a process starts: by Node.js, libuv, the loader, the allocator, and by Manta itself. */
const READ_AT_START = /^(NODE_(?!ENV$)|UV_|LD_|DYLD_|MALLOC_|GLIBC_|MANTA_LINEAGE_BYTES$)/;

/** The variables among `env` that come too late when they are set in a running process; undefined: none. */
export function startVariablesOf(
  env: Record<string, string> | undefined,
): Record<string, string> | undefined {
  const found = Object.entries(env ?? {}).filter(([name]) => READ_AT_START.test(name));
  return found.length === 0 ? undefined : Object.fromEntries(found);
}
