import { expect, test } from 'vitest';
import { HELP, readCommandLine } from './options.ts';

test('without options: this machine, port 8080, one node', () => {
  expect(readCommandLine([])).toEqual({
    host: '127.0.0.1',
    port: 8080,
    dataFolder: './data',
    nodes: 1,
    replicas: 1,
    tls: undefined,
    help: false,
  });
});

test('options are taken, and each is in the help', () => {
  const args = ['--port', '0', '--host=::', '--data', '/x', '--nodes', '3', '--replicas', '2'];
  args.push('--tls-cert', 'c.pem', '--tls-key', 'k.pem');
  expect(readCommandLine(args)).toEqual({
    host: '::',
    port: 0,
    dataFolder: '/x',
    nodes: 3,
    replicas: 2,
    tls: { certificateFile: 'c.pem', keyFile: 'k.pem' },
    help: false,
  });
  const names = ['port', 'host', 'data', 'nodes', 'replicas', 'tls-cert', 'tls-key', 'help'];
  for (const name of names) expect(HELP).toContain(`--${name}`);
});

test.each([
  [['--port', '70000'], '--port'],
  [['--port', ''], '--port'],
  [['--nodes', '0'], '--nodes'],
  [['--nodes', '1.5'], '--nodes'],
  [['--replicas', '17'], '--replicas'],
  [['--tls-cert', 'c.pem'], '--tls-key'],
  [['--colour'], '--colour'],
  [['stray'], 'stray'],
])('%j is refused by name', (args, name) => {
  expect(() => readCommandLine(args)).toThrow(name);
});
