import '@manta/worker/host/thread-main';
import * as sdk from '@manta/sdk';
import { provideHostSdk } from '@manta/runtime/actor/host-sdk';

/** Entry of the packed worker thread of an actor with isolation 'thread'. */
provideHostSdk(sdk);
