/** Up to so many objects, a scan of the list is faster than a Map. */
const LIST_MAX = 24;

/** Numbers objects in the order in which they are met. */
export class ObjectNumbers {
  /** How many have a number. */
  count = 0;
  /** Grows, but is never shortened: that would cost small values more than all the rest. */
  private readonly objects: (object | undefined)[] = [];
  private table: Map<object, number> | undefined;

  /** The number of an object met before; a new one gets the next number, and undefined is returned. */
  numberOf(object: object): number | undefined {
    const { objects, count } = this;
    if (this.table === undefined) {
      for (let index = 0; index < count; index++) if (objects[index] === object) return index;
      if (count === LIST_MAX) this.table = this.tabulate();
    } else {
      const number = this.table.get(object);
      if (number !== undefined) return number;
    }
    this.table?.set(object, count);
    objects[count] = object;
    this.count = count + 1;
    return undefined;
  }

  /** Only the first `count` keep their numbers. */
  forgetAfter(count: number): void {
    const { objects, table } = this;
    for (let index = count; index < this.count; index++) {
      table?.delete(objects[index] as object);
      objects[index] = undefined;
    }
    this.count = count;
  }

  clear(): void {
    if (this.table === undefined) return this.forgetAfter(0);
    this.table = undefined;
    this.objects.length = 0;
    this.count = 0;
  }

  private tabulate(): Map<object, number> {
    const table = new Map<object, number>();
    for (let index = 0; index < this.count; index++)
      table.set(this.objects[index] as object, index);
    return table;
  }
}
