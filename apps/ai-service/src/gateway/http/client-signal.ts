import { ClientGoneError } from './http-server.ts';

/** An AbortSignal that is made only if somebody asks for it: most requests end without one. */
export class ClientSignal {
  #controller: AbortController | undefined;
  #gone = false;

  get gone(): boolean {
    return this.#gone;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#gone) this.#controller.abort(new ClientGoneError());
    return this.#controller.signal;
  }

  abort(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#controller?.abort(new ClientGoneError());
  }
}
