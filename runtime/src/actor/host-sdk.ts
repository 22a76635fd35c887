/**
 * In a packed host process the SDK is part of the host's own file. There `@manta/sdk` resolves, by the condition
 * `manta-host`, to a small module that hands on what is provided here, so that actors and host share one copy.
 */
const SLOT = Symbol.for('manta.host-sdk');

export function provideHostSdk(sdk: object): void {
  (globalThis as Record<symbol, unknown>)[SLOT] = sdk;
}
