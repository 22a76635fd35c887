import '@manta/worker/host/host-main';
import * as sdk from '@manta/sdk';
import { provideHostSdk } from '@manta/runtime/actor/host-sdk';

/** Entry of the packed host process (scripts/pack-programs.mjs): the host and the SDK that its actors import, in one file. */
provideHostSdk(sdk);
