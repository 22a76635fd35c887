/** What is known of a process: from its start to its kill. */
export interface Life {
  isOver: boolean;
  /** What its code holds for sure. */
  readonly held: Set<number>;
  /** What it may hold: somebody died while it was on its way. */
  readonly perhaps: Set<number>;
}

interface Made {
  readonly id: string;
  readonly owner: Life;
  readonly parts: readonly number[];
}

const newLife = (): Life => ({ isOver: false, held: new Set(), perhaps: new Set() });

/** Who holds what, as the plan of a test has it. */
export class RefModel {
  readonly #lives: Life[] = [];
  readonly #made = new Map<number, Made>();
  #nextKey = 1;

  start(): Life {
    const life = newLife();
    this.#lives.push(life);
    return life;
  }

  get lives(): Life[] {
    return this.#lives.filter(({ isOver }) => !isOver);
  }

  newKey(): number {
    return this.#nextKey++;
  }

  made(key: number, made: Made): void {
    this.#made.set(key, made);
  }

  end(life: Life): void {
    life.isOver = true;
    life.held.clear();
    life.perhaps.clear();
  }

  hold(life: Life, key: number): void {
    if (life.isOver) return;
    life.perhaps.delete(key);
    life.held.add(key);
  }

  /** The outcome is not known. */
  mayHold(life: Life, key: number): void {
    if (!life.isOver && !life.held.has(key)) life.perhaps.add(key);
  }

  /** It may have let go of it. */
  doubt(life: Life, key: number): void {
    if (life.held.delete(key)) life.perhaps.add(key);
  }

  drop(life: Life, key: number): void {
    life.held.delete(key);
    life.perhaps.delete(key);
  }

  /** What reading must give. */
  outcome(key: number): 'right' | 'OwnerDiedError' {
    return this.#made.get(key)?.owner.isOver === true ? 'OwnerDiedError' : 'right';
  }

  parts(key: number): readonly number[] {
    return this.#made.get(key)?.parts ?? [];
  }

  /** Ids of all that some process may reach, also by what it may have read before its owner died. */
  reachableIds(): Set<string> {
    const open = this.lives.flatMap(({ held, perhaps }) => [...held, ...perhaps]);
    const seen = new Set<number>();
    for (let key = open.pop(); key !== undefined; key = open.pop()) {
      if (seen.has(key)) continue;
      seen.add(key);
      open.push(...this.parts(key));
    }
    return new Set([...seen].flatMap((key) => this.#made.get(key)?.id ?? []));
  }
}
