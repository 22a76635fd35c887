import { describe } from 'vitest';
import type { StartTestServer } from '../server-under-test.ts';
import { describeAdmission } from './broker-admission.ts';
import { describeClients } from './broker-clients.ts';
import { describeProtocol } from './broker-protocol.ts';
import { describeRouting } from './broker-routing.ts';

/**
 * What Manta expects of a NATS core server, driven by bytes on a bare socket and by the NATS client. The embedded
 * broker and the real servers pass the same suite.
 */
export function describeBrokerConformance(name: string, start: StartTestServer): void {
  describe(`NATS core protocol: ${name}`, () => {
    describeProtocol(start);
    describeRouting(start);
    describeAdmission(start);
    describeClients(start);
  });
}
