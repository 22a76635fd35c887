import type { JobId } from '../ids.ts';
import { LIMITS } from '../wire/limits.ts';
import { TaskFunction, type LeaseTemplate, type TaskDefinition } from './task-function.ts';
import { TaskShape } from './task-shape.ts';
import type { TaskSubmitter } from './task-submitter.ts';
import { WeakTable } from './weak-table.ts';

/** The functions beyond the limit of names go together under this one. */
const OTHERS = '…';

/** Calls of the functions of one name and job since the process started. */
export interface TaskTally {
  readonly jobId: JobId;
  readonly name: string;
  submitted: number;
  finished: number;
  failed: number;
}

/**
 * The task functions of one process and their shapes, for as long as somebody can call them or has called them: options
 * may make a new one for each call. What was counted stays.
 */
export class TaskCatalogue {
  readonly #submitter: TaskSubmitter;
  readonly #functions = new WeakTable<TaskFunction>();
  readonly #shapes = new WeakTable<TaskShape>();
  readonly #tallies = new Map<JobId, Map<string, TaskTally>>();
  #nextNumber = 0;

  constructor(submitter: TaskSubmitter) {
    this.#submitter = submitter;
  }

  /** Equal definitions of one shape are one function. */
  functionFor(definition: TaskDefinition, template: LeaseTemplate): TaskFunction {
    const { jobId, namespace, env, setupTimeoutMs, demand, schedulingTimeoutMs } = template;
    const shapeKey = JSON.stringify([
      ...[jobId, namespace, env, setupTimeoutMs],
      ...[demand, schedulingTimeoutMs],
    ]);
    return this.#functions.getOrMake(`${JSON.stringify(definition)}${shapeKey}`, () => {
      const shape = this.#shapes.getOrMake(
        shapeKey,
        () => new TaskShape(template, this.#submitter),
      );
      const number = this.#nextNumber++;
      const tally = this.#tallyFor(jobId, definition.name);
      return new TaskFunction({ submitter: this.#submitter, number, definition, shape, tally });
    });
  }

  /** Functions and shapes that are known. */
  get size(): { functions: number; shapes: number } {
    return { functions: this.#functions.size, shapes: this.#shapes.size };
  }

  get hasTallies(): boolean {
    return this.#tallies.size > 0;
  }

  *tallies(): Generator<TaskTally> {
    for (const names of this.#tallies.values()) yield* names.values();
  }

  #tallyFor(jobId: JobId, functionName: string): TaskTally {
    let names = this.#tallies.get(jobId);
    if (names === undefined) this.#tallies.set(jobId, (names = new Map()));
    const isKnown = names.has(functionName) || names.size < LIMITS.taskNames - 1;
    const name = isKnown ? functionName : OTHERS;
    let tally = names.get(name);
    if (tally === undefined)
      names.set(name, (tally = { jobId, name, submitted: 0, finished: 0, failed: 0 }));
    return tally;
  }
}
