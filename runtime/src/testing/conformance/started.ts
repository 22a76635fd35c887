import { afterEach } from 'vitest';
import { RawNatsClient } from '../raw-nats-client.ts';
import type { StartTestServer, TestServer, TestServerOptions } from '../server-under-test.ts';

export interface Started {
  server(options?: TestServerOptions): Promise<TestServer>;
  raw(server: TestServer, fields?: Record<string, unknown>): Promise<RawNatsClient>;
  /** Runs after the test, last one first. */
  after(cleanUp: () => unknown): void;
}

/** Starts things for one test and ends them after it, whatever happened. */
export function startedPerTest(start: StartTestServer): Started {
  let cleanUps: (() => unknown)[] = [];
  afterEach(async () => {
    const all = cleanUps.reverse();
    cleanUps = [];
    for (const cleanUp of all) await cleanUp();
  });
  return {
    async server(options) {
      const server = await start(options);
      cleanUps.push(() => server.stop());
      return server;
    },
    async raw(server, fields) {
      const client = await RawNatsClient.ready(server, fields);
      cleanUps.push(() => client.close());
      return client;
    },
    after(cleanUp) {
      cleanUps.push(cleanUp);
    },
  };
}
