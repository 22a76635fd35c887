/**
 * Our own checks of the tree, beside formatter, linter and boundaries: file sizes, leftover notes, paths of one machine,
 * paths that leave the repository, links that lead nowhere, registry hosts in the lock file. Prints every finding.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { dirname, extname, join, normalize } from 'node:path';

const MAX_LINES = 400;
const MAX_FILE_BYTES = 1024 * 1024;
const CODE = new Set(['.ts', '.mjs', '.cjs', '.js', '.sh']);
const TEXT = new Set([...CODE, '.md', '.json', '.yaml', '.yml', '.py', '.txt', '']);
const DATA = /(^|\/)(models-data|results|fixtures)\//;

const LEFTOVER = /\b(T[O]DO|F[I]XME)\b/;
/** Places of one machine: a clone of this repository has none of them. */
const MACHINE_PATH = /(?<![\w.:/~-])\/(home|root|work|workspace|Users|opt|mnt)\/[\w.-]/;
const LEAVES_TREE = /(?<![\w./])(?:\.\.\/)+[\w-][\w./-]*/g;
const ONLY_FOCUS = /\b(?:it|test|describe)\.(?:only|skip|todo|fails)\b/;
const LINK = /\]\((?!https?:|#|mailto:)([^)\s#]+)/g;

const findings = [];
const report = (file, line, what) => findings.push(`${file}:${line}  ${what}`);

function checkLines(file, lines) {
  const kind = extname(file);
  if (CODE.has(kind) && lines.length - 1 > MAX_LINES) {
    report(file, lines.length - 1, `more than ${MAX_LINES} lines: split it by responsibility`);
  }
  lines.forEach((line, index) => {
    const at = index + 1;
    if (LEFTOVER.test(line)) report(file, at, 'leftover note: do it, or drop it');
    if (MACHINE_PATH.test(line)) report(file, at, 'names a path of one machine');
    if (file.endsWith('.test.ts') && ONLY_FOCUS.test(line)) {
      report(file, at, 'a test that is left out or alone');
    }
    for (const [path] of line.matchAll(LEAVES_TREE)) {
      if (normalize(join(dirname(file), path)).startsWith('..')) {
        report(file, at, `leaves the repository: ${path}`);
      }
    }
    if (kind === '.md') checkLinks(file, at, line);
  });
}

function checkLinks(file, at, line) {
  for (const [, target] of line.matchAll(LINK)) {
    if (!existsSync(join(dirname(file), decodeURIComponent(target)))) {
      report(file, at, `link to a file that is not there: ${target}`);
    }
  }
}

function checkLock(text) {
  const lock = JSON.parse(text);
  checkPlatforms(lock.packages);
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (typeof entry.resolved === 'string' && entry.resolved.includes('://')) {
      report(
        'package-lock.json',
        1,
        `${path} is bound to one registry: ${new URL(entry.resolved).host}`,
      );
    }
  }
}

/**
 * `npm ci` refuses a lock file without the binaries of other platforms, and a registry that has only some of them makes
 * npm write such a file.
 */
function checkPlatforms(packages) {
  for (const [path, entry] of Object.entries(packages)) {
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      if (!isLocked(packages, path, name)) report('package-lock.json', 1, `${name} is missing`);
    }
  }
}

function isLocked(packages, path, name) {
  for (let base = path; ; base = base.slice(0, Math.max(0, base.lastIndexOf('/node_modules/')))) {
    if (`${base === '' ? '' : `${base}/`}node_modules/${name}` in packages) return true;
    if (base === '') return false;
  }
}

/** Tracked files and new ones that are not ignored. */
function repositoryFiles() {
  const list = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return list.split('\0').filter((file) => file !== '' && existsSync(file));
}

for (const file of repositoryFiles()) {
  const facts = lstatSync(file);
  if (!facts.isFile()) continue;
  if (file === 'package-lock.json') checkLock(readFileSync(file, 'utf8'));
  else if (DATA.test(file)) continue;
  else if (facts.size > MAX_FILE_BYTES) report(file, 1, `larger than ${MAX_FILE_BYTES} bytes`);
  else if (TEXT.has(extname(file))) checkLines(file, readFileSync(file, 'utf8').split('\n'));
}

for (const finding of findings) console.error(finding);
if (findings.length > 0) {
  console.error(`${findings.length} findings`);
  process.exitCode = 1;
}
