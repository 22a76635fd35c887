/** Where the display goes: `process.stdout`, or a stand-in. */
export interface ProgressOutput {
  isTTY?: boolean;
  write(text: string): unknown;
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;

/** Steps of a start, for whoever waits: lines that come alive in a terminal, plain lines elsewhere. */
export class Progress {
  readonly #output: ProgressOutput;
  readonly #running = new Map<string, number>();
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;
  #frame = 0;
  #drawn = 0;

  constructor(output: ProgressOutput, now: () => number = () => performance.now()) {
    this.#output = output;
    this.#now = now;
  }

  /** Shows `title` while `work` runs, and how long it took. */
  async step<T>(title: string, work: () => Promise<T>): Promise<T> {
    this.#begin(title);
    try {
      const result = await work();
      this.#end(title, '✓');
      return result;
    } catch (error) {
      this.#end(title, '✗');
      throw error;
    }
  }

  line(text: string): void {
    this.#erase();
    this.#output.write(`${text}\n`);
    this.#draw();
  }

  #begin(title: string): void {
    this.#running.set(title, this.#now());
    if (this.#output.isTTY !== true) {
      this.#output.write(`… ${title}\n`);
      return;
    }
    this.#timer ??= setInterval(() => this.#animate(), FRAME_MS);
    this.#animate();
  }

  #end(title: string, mark: string): void {
    const seconds = (this.#now() - (this.#running.get(title) ?? 0)) / 1000;
    this.#running.delete(title);
    if (this.#running.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.line(`${mark} ${title} (${seconds.toFixed(1)} s)`);
  }

  #animate(): void {
    this.#frame += 1;
    this.#erase();
    this.#draw();
  }

  #erase(): void {
    if (this.#drawn > 0) this.#output.write(`\u001b[${this.#drawn}A\u001b[0J`);
    this.#drawn = 0;
  }

  #draw(): void {
    if (this.#output.isTTY !== true) return;
    for (const title of this.#running.keys()) {
      this.#output.write(`${FRAMES[this.#frame % FRAMES.length]} ${title}\n`);
      this.#drawn += 1;
    }
  }
}
