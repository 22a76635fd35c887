import type { JobId } from '../ids.ts';
import type { ActorSpec, ClassReference } from '../wire/messages.ts';
import type { TaskTally } from './task-catalogue.ts';
import type { TaskShape } from './task-shape.ts';
import type { TaskSubmitter } from './task-submitter.ts';

/** What is fixed when a task function is defined and its options are chosen. */
export interface TaskDefinition {
  name: string;
  reference: ClassReference;
  /** The function is a generator: its result is a stream. */
  stream: boolean;
  /** On the death of a worker or node; -1 without end. */
  maxRetries: number;
  retryExceptions: boolean | string[] | undefined;
  /** The worker process ends after so many calls; 0: never. */
  maxCalls: number;
}

/** Everything a lease asks for except its id: two tasks of one shape can use each other's leases. */
export type LeaseTemplate = Omit<ActorSpec, 'actorId'>;

/** Where a worker process finds the class of a task worker: it is built into every host. */
export const TASK_WORKER: ClassReference = {
  moduleUrl: 'manta:task-worker',
  exportKey: 'TaskWorker',
};

/** A measured time may fall so fast, so that the loading of a module is forgotten after a few answers. */
const FALL_FACTOR = 1 / 8;
const RISE_WEIGHT = 0.3;

export interface TaskLabel {
  readonly name: string;
  readonly jobId: JobId;
}

/** A task function as one process submits it: sent once per lease, then known by its number. */
export class TaskFunction {
  readonly submitter: TaskSubmitter;
  readonly number: number;
  readonly definition: TaskDefinition;
  readonly shape: TaskShape;
  /** How long a worker needs for one call, as seen from here; undefined before the first answer. */
  runMs: number | undefined = undefined;
  readonly tally: TaskTally;
  /** What lists show of its calls; it may outlive the function. */
  readonly label: TaskLabel;

  constructor({
    submitter,
    number,
    definition,
    shape,
    tally,
  }: Pick<TaskFunction, 'submitter' | 'number' | 'definition' | 'shape' | 'tally'>) {
    this.submitter = submitter;
    this.number = number;
    this.definition = definition;
    this.shape = shape;
    this.tally = tally;
    this.label = { name: definition.name, jobId: shape.template.jobId };
  }

  get name(): string {
    return this.definition.name;
  }

  measured(sampleMs: number): void {
    const known = this.runMs;
    if (known === undefined) this.runMs = sampleMs;
    else if (sampleMs < known) this.runMs = Math.max(sampleMs, known * FALL_FACTOR);
    else this.runMs = known + (sampleMs - known) * RISE_WEIGHT;
  }
}
