import { describeHttpServerConformance } from '../testing/http-server-conformance.ts';
import { listenUwebsockets } from './uwebsockets-adapter.ts';
import { loadUwebsockets } from './uwebsockets-module.ts';

const location = process.env['MANTA_UWEBSOCKETS'];
if (location === undefined) {
  throw new Error('set MANTA_UWEBSOCKETS to the folder that scripts/install-uwebsockets.sh made');
}
const uws = loadUwebsockets(location);

describeHttpServerConformance('uWebSockets.js', (options) => listenUwebsockets(uws, options));
