/** Installs peers beside the project: `node bench/peers/install.mjs [ray] [moleculer] [piscina]`; without names, all. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const inRepository = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const run = (file, args, cwd) => execFileSync(file, args, { cwd, stdio: 'inherit' });

const installers = {
  ray() {
    const environment = inRepository('.venv/ray');
    run('python3', ['-m', 'venv', environment]);
    run(`${environment}/bin/pip`, [
      'install',
      '-r',
      inRepository('bench/peers/ray/requirements.txt'),
    ]);
  },
  moleculer() {
    run('npm', ['ci'], inRepository('bench/peers/moleculer'));
  },
  piscina() {
    run('npm', ['ci'], inRepository('bench/peers/piscina'));
  },
};

const names = process.argv.slice(2);
for (const name of names.length > 0 ? names : Object.keys(installers)) {
  const install = installers[name];
  if (install === undefined) {
    console.error(`no peer "${name}"; there are: ${Object.keys(installers).join(', ')}`);
    process.exit(2);
  }
  install();
}
