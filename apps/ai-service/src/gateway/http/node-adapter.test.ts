import { describeHttpServerConformance } from '../testing/http-server-conformance.ts';
import { describeHttpsConformance } from '../testing/https-conformance.ts';
import { listenNode } from './node-adapter.ts';

describeHttpServerConformance('node:http with ws', listenNode);
describeHttpsConformance('node:http with ws', listenNode);
