import { startEmbeddedServer } from '../testing/embedded-server.ts';
import { describeBrokerConformance } from '../testing/conformance/broker-conformance.ts';

describeBrokerConformance('embedded broker', startEmbeddedServer);
