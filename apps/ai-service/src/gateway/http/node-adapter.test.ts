import { describeHttpServerConformance } from '../testing/http-server-conformance.ts';
import { listenNode } from './node-adapter.ts';

describeHttpServerConformance('node:http with ws', listenNode);
