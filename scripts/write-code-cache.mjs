/**
 * Runs a packed script, which has nothing to do and ends, and keeps what V8 has compiled of it.
 * Arguments: a folder that the script may take for its own, and its file.
 */
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import {
  codeCacheOf,
  readPackedScript,
  runPackedScript,
} from '../cli/dist/packing/packed-script.js';

const [, , , file] = process.argv;
const script = readPackedScript(pathToFileURL(file));
process.once('exit', () => writeFileSync(codeCacheOf(file), script.createCachedData()));
const url = pathToFileURL(file.replace(/\.cjs$/, '.js')).href;
runPackedScript(script, { url });
