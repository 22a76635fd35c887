import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingCall } from './incoming-call.ts';

/**
 * Which call the running code belongs to. Where one call runs at a time, a variable tells, and costs nothing. Where
 * several interleave, an AsyncLocalStorage must follow them over awaits; that slows every promise of the process, so
 * it is switched on when code asks for its context for the first time, and from the start where actors share a process.
 */
export class CallContext {
  #current: IncomingCall | undefined;
  #storage: AsyncLocalStorage<IncomingCall> | undefined;
  /** Calls that have submitted something. */
  #parents = 0;
  /** What the one actor of this process was constructed with: for calls that began before they were followed. */
  #ofActor: IncomingCall | undefined;

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
    // Of several actors in one process none may be taken for another.
    if (call.spec.isolation === 'shared') this.track();
    else if (!exclusive) this.#ofActor ??= call;
    if (exclusive || this.#storage === undefined) return body.apply(thisArgument, args);
    return this.#storage.run(call, () => body.apply(thisArgument, args));
  }

  leave(): void {
    this.#current = undefined;
  }

  /**
   * The number of the running call as a parent; 0: unknown. Where several calls interleave and are not followed, a call
   * is known until its first await.
   */
  parentNow(): number {
    const call = this.#storage?.getStore() ?? this.#current;
    if (call === undefined) return 0;
    return (call.parentNumber ||= this.#parents += 1);
  }

  /** Undefined while a module loads before its actor is made. */
  current(): IncomingCall | undefined {
    const call = this.#storage?.getStore() ?? this.#current ?? this.#ofActor;
    if (call !== undefined) this.track();
    return call;
  }
}
