interface Link<V> {
  value: V;
  previous: Link<V> | undefined;
  next: Link<V> | undefined;
}

/** Leaves the line. False when it has been taken already, or has left before. */
export type Leave = () => boolean;

/** First in, first out, and anybody may leave from anywhere: a list, because lines of waiting calls grow long. */
export class WaitingLine<V> {
  #first: Link<V> | undefined;
  #last: Link<V> | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Who would be taken next. */
  get first(): V | undefined {
    return this.#first?.value;
  }

  push(value: V): Leave {
    const link: Link<V> = { value, previous: this.#last, next: undefined };
    if (this.#last === undefined) this.#first = link;
    else this.#last.next = link;
    this.#last = link;
    this.#length += 1;
    return () => this.#remove(link);
  }

  shift(): V | undefined {
    const link = this.#first;
    if (link !== undefined) this.#remove(link);
    return link?.value;
  }

  #remove(link: Link<V>): boolean {
    const { previous, next } = link;
    if (previous === undefined && this.#first !== link) return false;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    link.previous = undefined;
    link.next = undefined;
    this.#length -= 1;
    return true;
  }
}
