import type { ActorSpec } from '@manta/runtime/wire/messages';

/** Different parts kept; beyond that sharing begins anew. */
const PARTS_MAX = 10_000;

/**
 * Actors of one class have equal parts: a hundred thousand of them share one copy. The arguments are copied, for as
 * decoded they keep the whole message that brought them.
 */
export class SpecSharing {
  readonly #parts = new Map<string, object>();

  share(spec: ActorSpec): ActorSpec {
    return {
      ...spec,
      classReference: this.#part(spec.classReference),
      methods: this.#part(spec.methods),
      demand: this.#part(spec.demand),
      encodedArgs: Buffer.from(spec.encodedArgs),
    };
  }

  #part<T extends object>(part: T): T {
    const key = JSON.stringify(part);
    const known = this.#parts.get(key);
    if (known !== undefined) return known as T;
    if (this.#parts.size >= PARTS_MAX) this.#parts.clear();
    this.#parts.set(key, part);
    return part;
  }
}
