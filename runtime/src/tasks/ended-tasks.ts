import type { TaskCall } from './task-call.ts';
import type { TaskLabel } from './task-function.ts';

/** The latest of each that one process remembers. */
const FINISHED_MAX = 10_000;
const FAILED_MAX = 1_000;
const MESSAGE_LENGTH_MAX = 300;

/** A task that is over, as far as lists show it. */
export interface EndedTask {
  readonly number: number;
  readonly label: TaskLabel;
  /** Where it ran last, if that is known. */
  readonly nodeId: string | undefined;
  readonly error: { readonly name: string; readonly message: string } | undefined;
}

/** Tasks that have ended in the order of their ends; not their refs, which live as long as somebody has them. */
export class EndedTasks {
  // Columns, made when the first task ends: they are written for every task, and read when somebody looks.
  #numbers: Int32Array | undefined;
  readonly #labels: TaskLabel[] = [];
  readonly #nodeIds: (string | undefined)[] = [];
  #next = 0;
  readonly #failed: EndedTask[] = [];
  #nextFailed = 0;

  addFinished({ number, task }: TaskCall, nodeId: string | undefined): void {
    const at = this.#next;
    (this.#numbers ??= new Int32Array(FINISHED_MAX))[at] = number;
    this.#labels[at] = task.label;
    this.#nodeIds[at] = nodeId;
    this.#next = at + 1 === FINISHED_MAX ? 0 : at + 1;
  }

  addFailed({ number, task }: TaskCall, nodeId: string | undefined, error: unknown): void {
    const { label } = task;
    this.#failed[this.#nextFailed] = { number, label, nodeId, error: describe(error) };
    this.#nextFailed = (this.#nextFailed + 1) % FAILED_MAX;
  }

  /** The latest first. */
  *failed(): Generator<EndedTask> {
    for (const at of latestFirst(this.#nextFailed, this.#failed.length))
      yield this.#failed[at] as EndedTask;
  }

  /** The latest first. */
  *finished(): Generator<EndedTask> {
    for (const at of latestFirst(this.#next, this.#labels.length)) {
      yield {
        number: this.#numbers?.[at] as number,
        label: this.#labels[at] as TaskLabel,
        nodeId: this.#nodeIds[at],
        error: undefined,
      };
    }
  }
}

/** The places of a ring that has so many entries and writes the next one there. */
function* latestFirst(next: number, length: number): Generator<number> {
  for (let back = 1; back <= length; back += 1) yield (next - back + length) % length;
}

function describe(error: unknown): { name: string; message: string } {
  const { name, message } = error instanceof Error ? error : { name: 'Error', message: error };
  return { name, message: String(message).slice(0, MESSAGE_LENGTH_MAX) };
}
