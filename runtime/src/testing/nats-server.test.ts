import { describe, expect, it } from 'vitest';
import { natsServerPrograms } from './nats-server.ts';

describe('natsServerPrograms', () => {
  it('takes the list, else the single program', () => {
    const program = process.execPath;
    expect(natsServerPrograms({ MANTA_NATS_SERVERS: `${program}:${program}` })).toEqual([
      program,
      program,
    ]);
    expect(natsServerPrograms({ MANTA_NATS_SERVER: program })).toEqual([program]);
  });

  it('says how to install the servers when there are none', () => {
    expect(() => natsServerPrograms({ PATH: '/nowhere' })).toThrow(/install-test-servers\.sh/);
    expect(() => natsServerPrograms({ MANTA_NATS_SERVERS: '/nowhere/nats-server' })).toThrow(
      /install-test-servers/,
    );
  });
});
