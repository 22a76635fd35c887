/** Up to here a scan of the list is faster than a Map. */
const LIST_MAX = 24;

/** Numbers objects in the order in which they are met. */
export class ObjectNumbers {
  private objects: object[] = [];
  private table: Map<object, number> | undefined;

  get count(): number {
    return this.objects.length;
  }

  /** The number of an object met before; a new one gets the next number, and undefined is returned. */
  numberOf(object: object): number | undefined {
    const { objects, table } = this;
    const next = objects.length;
    if (table === undefined) {
      for (let index = 0; index < next; index++) if (objects[index] === object) return index;
      if (next === LIST_MAX) this.table = new Map(objects.map((met, index) => [met, index]));
    } else {
      const number = table.get(object);
      if (number !== undefined) return number;
    }
    objects.push(object);
    this.table?.set(object, next);
    return undefined;
  }

  forgetAfter(count: number): void {
    if (this.table !== undefined) {
      for (let index = count; index < this.objects.length; index++)
        this.table.delete(this.objects[index] as object);
    }
    this.objects.length = count;
  }

  clear(): void {
    if (this.table !== undefined) {
      this.table = undefined;
      this.objects = [];
    } else {
      this.objects.length = 0;
    }
  }
}
