import { expect, it } from 'vitest';
import { nodeStart } from './node-start.ts';

const FILE = '/etc/company.pem';

it('hides the certificates from a Node.js that would read them at its start', () => {
  const { nodeArguments, environment } = nodeStart(
    { A: '1', NODE_EXTRA_CA_CERTS: FILE },
    '20.19.0',
  );
  expect(environment).toEqual({ A: '1', MANTA_EXTRA_CA_CERTS: FILE });
  expect(nodeArguments[0]).toBe('--require');
  expect(nodeArguments[1]).toMatch(/\/certificates\/trust-later\.js$/);
});

it.each(['22.0.0', '24.21.0'])('leaves them to Node.js %s', (version) => {
  const environment = { NODE_EXTRA_CA_CERTS: FILE };
  expect(nodeStart(environment, version)).toEqual({ nodeArguments: [], environment });
});

it.each([{}, { NODE_EXTRA_CA_CERTS: '' }, { MANTA_EXTRA_CA_CERTS: FILE }])(
  'preloads nothing with %j',
  (environment) => {
    const start = nodeStart({ ...environment, A: '1' }, '20.19.0');
    expect(start).toEqual({ nodeArguments: [], environment: { A: '1' } });
  },
);
