import { renameSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  codeCacheOf,
  readPackedScript,
  runPackedScript,
} from '../cli/dist/packing/packed-script.js';

/**
 * Runs a packed script, and when its process exits keeps what V8 has compiled of it, unless more has been kept already.
 * It starts from what is there: process by process more of the program is in it.
 * @param meta `import.meta` of the module that stands for the program.
 */
export function runAndKeepCode(file, meta) {
  const script = readPackedScript(file);
  const kept = codeCacheOf(fileURLToPath(file));
  process.once('exit', () => {
    const code = script.createCachedData();
    const keptBytes = statSync(kept, { throwIfNoEntry: false })?.size ?? 0;
    if (code.length <= keptBytes) return;
    // Processes start from it while others end.
    const draft = `${kept}.${process.pid}`;
    writeFileSync(draft, code);
    renameSync(draft, kept);
  });
  runPackedScript(script, meta);
}
