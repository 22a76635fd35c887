import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingCall } from './incoming-call.ts';

/**
 * Which call the running code belongs to. Where one call runs at a time, a variable tells, and costs nothing. Where
 * several interleave, an AsyncLocalStorage must follow them over awaits; that slows every promise of the process, so
 * it is switched on only when code asks for its context, or is seen to import what asks.
 */
export class CallContext {
  #current: IncomingCall | undefined;
  #storage: AsyncLocalStorage<IncomingCall> | undefined;

  /** From now on calls are followed over awaits. */
  track(): void {
    this.#storage ??= new AsyncLocalStorage();
  }

  /** Calls the function as the code of this call. `exclusive`: no other call runs meanwhile. */
  apply<P extends unknown[], R>(
    call: IncomingCall,
    exclusive: boolean,
    body: (...args: P) => R,
    thisArgument: unknown,
    args: P,
  ): R {
    this.#current = call;
    if (exclusive || this.#storage === undefined) return body.apply(thisArgument, args);
    return this.#storage.run(call, () => body.apply(thisArgument, args));
  }

  leave(): void {
    this.#current = undefined;
  }

  current(): IncomingCall | undefined {
    const tracked = this.#storage?.getStore();
    if (tracked !== undefined) return tracked;
    this.track();
    return this.#current;
  }
}
