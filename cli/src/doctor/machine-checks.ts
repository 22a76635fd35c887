import { execFile } from 'node:child_process';
import { access, constants, mkdir, stat, statfs } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { promisify } from 'node:util';
import { VERSION } from '../version.ts';
import { formatBytes } from '../output.ts';
import type { Check, Finding } from './finding.ts';

const run = promisify(execFile);
const NODE_MINIMUM = [20, 19] as const;
const FILES_WANTED = 65_536;
const FILES_NEEDED = 4_096;
const SHARED_MEMORY = '/dev/shm';
/** As nodes decide it, of the memory of the machine (worker/src/objects). */
const OBJECT_STORE_SHARE = 0.3;
/** With less, a node's objects go to files. */
const SHARED_MEMORY_NEEDED_BYTES = 512 * 1024 ** 2;
const COMMAND_TIMEOUT_MS = 10_000;

export const checkNode: Check = () => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const newEnough =
    major > NODE_MINIMUM[0] || (major === NODE_MINIMUM[0] && minor >= NODE_MINIMUM[1]);
  const what = 'versions';
  const found = `Manta ${VERSION}, Node.js ${process.versions.node}, ${process.platform} ${process.arch}`;
  return Promise.resolve(
    newEnough
      ? { what, level: 'ok', found }
      : {
          what,
          level: 'problem',
          found,
          todo: `install Node.js ${NODE_MINIMUM.join('.')} or newer`,
        },
  );
};

export const checkHome: Check = async (context) => {
  const what = 'home folder';
  try {
    await mkdir(context.home, { recursive: true, mode: 0o700 });
    await access(context.home, constants.W_OK);
    const open = ((await stat(context.home)).mode & 0o077) !== 0;
    if (!open) return { what, level: 'ok', found: `${context.home} is writable and private` };
    return {
      what,
      level: 'note',
      found: `${context.home} can be listed by other users; the token in it cannot be read`,
      todo: `chmod 700 ${context.home}`,
    };
  } catch (error) {
    return {
      what,
      level: 'problem',
      found: `${context.home} cannot be written: ${(error as Error).message}`,
      todo: 'set MANTA_HOME to a folder that you own',
    };
  }
};

export const checkSharedMemory: Check = async () => {
  const what = 'shared memory';
  if (process.platform !== 'linux') {
    return {
      what,
      level: 'note',
      found: 'there is no /dev/shm here; nodes keep objects in files',
    };
  }
  try {
    await access(SHARED_MEMORY, constants.W_OK);
    const { bavail, bsize } = await statfs(SHARED_MEMORY);
    const free = bavail * bsize;
    const wanted = Math.floor(OBJECT_STORE_SHARE * totalmem());
    const found = `${SHARED_MEMORY} has ${formatBytes(free)} free; the object store of a node takes up to ${formatBytes(wanted)}`;
    if (free >= Math.max(wanted, SHARED_MEMORY_NEEDED_BYTES)) return { what, level: 'ok', found };
    const consequence =
      free >= SHARED_MEMORY_NEEDED_BYTES
        ? 'nodes take what there is'
        : 'nodes keep objects in files instead, which is slower';
    const size = `${Math.ceil(wanted / 2 ** 30)}g`;
    const todo = `give it more: mount -o remount,size=${size} ${SHARED_MEMORY}, or --shm-size=${size} for a container`;
    return { what, level: 'note', found: `${found}: ${consequence}`, todo };
  } catch (error) {
    return {
      what,
      level: 'problem',
      found: `${SHARED_MEMORY} cannot be used, so that nodes keep objects in files: ${(error as Error).message}`,
      todo: `mount a tmpfs at ${SHARED_MEMORY} that this user may write to`,
    };
  }
};

export const checkFileLimit: Check = () => Promise.resolve(fileFinding(fileLimit()));

function fileFinding(limit: number | undefined): Finding {
  const what = 'open files';
  if (limit === undefined)
    return { what, level: 'note', found: 'the limit could not be read here' };
  const found = `a process may open ${Number.isFinite(limit) ? limit : 'any number of'} files`;
  if (limit >= FILES_WANTED) return { what, level: 'ok', found };
  return {
    what,
    level: limit >= FILES_NEEDED ? 'note' : 'problem',
    found,
    todo: `raise it before starting: ulimit -n ${FILES_WANTED} (each actor process takes about ten)`,
  };
}

/** Undefined on Windows, which has none. */
function fileLimit(): number | undefined {
  // Looking up the names of all connections may take long.
  Object.assign(process.report, { excludeNetwork: true });
  const { userLimits } = process.report.getReport() as {
    userLimits?: { open_files: { soft: number | 'unlimited' } };
  };
  const soft = userLimits?.open_files.soft;
  return soft === 'unlimited' ? Infinity : soft;
}

/** `setpriv --pdeathsig` lets the kernel end an actor's process when its agent is killed. */
export const checkProcessGuard: Check = async () => {
  const what = 'process guard';
  if (process.platform !== 'linux') {
    return {
      what,
      level: 'note',
      found: 'not on this system; processes watch their agent by a channel',
    };
  }
  const help = await run('setpriv', ['--help'], { timeout: COMMAND_TIMEOUT_MS }).catch(
    () => undefined,
  );
  if (help?.stdout.includes('--pdeathsig')) {
    return { what, level: 'ok', found: 'setpriv can end processes together with their agent' };
  }
  return {
    what,
    level: 'note',
    found: 'no setpriv with --pdeathsig; processes watch their agent by a channel alone',
    todo: 'install util-linux 2.33 or newer',
  };
};

export const checkGpu: Check = async () => {
  const what = 'GPUs';
  const query = ['--query-gpu=name,memory.total', '--format=csv,noheader'];
  try {
    const { stdout } = await run('nvidia-smi', query, { timeout: COMMAND_TIMEOUT_MS });
    const gpus = stdout
      .trim()
      .split('\n')
      .filter((line) => line !== '');
    return { what, level: 'ok', found: `${gpus.length} (${gpus.join('; ')})` };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return { what, level: 'ok', found: 'none (no nvidia-smi): this machine does CPU work' };
    }
    return {
      what,
      level: 'problem',
      found: `nvidia-smi fails: ${(error as Error).message.split('\n')[0]}`,
      todo: 'repair the driver, or start nodes here with --gpus 0',
    };
  }
};
