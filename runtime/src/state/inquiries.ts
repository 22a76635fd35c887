import type { Channel, ChannelRecord } from '../channel/channel.ts';
import { collectGarbage } from '../core/garbage.ts';
import { BackpressureError, MantaError, ProtocolError } from '../errors/errors.ts';
import type { AnyObjectRef } from '../objects/object-ref.ts';
import { RECORD } from '../rpc/records.ts';
import { decodeControl, encodeControl } from '../serialization/control-codec.ts';
import { encodeError } from '../serialization/error-codec.ts';
import { taskIdOf } from '../tasks/task-id.ts';
import type { Explanation } from '../wire/actor-messages.ts';
import { ProcessInquiry, type ProcessReport } from '../wire/object-messages.ts';
import { explainRef, HOPS_MAX, type ExplainingCore } from './explain-ref.ts';
import type { ReportedCore } from './known-refs.ts';
import { findRef, rowsOf } from './process-report.ts';
import { taskRowsOf, type ListedCore } from './task-rows.ts';

type InquiredCore = ReportedCore & ExplainingCore & ListedCore;

/** Questions under way; each looks at all that the process knows. */
const OPEN_MAX = 64;
const PROGRAM_LENGTH_MAX = 300;
const TASKS_DEFAULT = 1_000;

/** A process's answers to what others want to know of its objects and tasks. */
export class Inquiries {
  readonly #core: InquiredCore;
  #open = 0;

  constructor(core: InquiredCore) {
    this.#core = core;
  }

  /** Answers a record `inquire`. */
  receive(channel: Channel, [, call, question]: ChannelRecord): void {
    if (this.#open >= OPEN_MAX) {
      const error = new BackpressureError(
        `More than ${OPEN_MAX} questions about objects are open.`,
      );
      channel.send([RECORD.failure, call, encodeError(error)]);
      return;
    }
    this.#open += 1;
    void this.#respond(channel, call, question).finally(() => {
      this.#open -= 1;
    });
  }

  async #respond(channel: Channel, call: unknown, question: unknown): Promise<void> {
    let answer: ChannelRecord;
    try {
      answer = [RECORD.result, call, await this.#answer(question)];
    } catch (error) {
      answer = [RECORD.failure, call, encodeError(error)];
    }
    channel.send(answer);
  }

  async #answer(question: unknown): Promise<Uint8Array> {
    if (!(question instanceof Uint8Array)) throw new ProtocolError('A question without bytes.');
    return encodeFitting(await this.report(decodeControl(ProcessInquiry, question)));
  }

  async report(inquiry: ProcessInquiry): Promise<ProcessReport> {
    const { taskId, tasks, limit = TASKS_DEFAULT } = inquiry;
    const self = {
      pid: process.pid,
      program: (process.argv[1] ?? 'node').slice(-PROGRAM_LENGTH_MAX),
    };
    if (tasks !== undefined)
      return { ...self, rows: [], total: 0, tasks: taskRowsOf(this.#core, tasks, limit) };
    if (inquiry.collectGarbage === true) await collectGarbage();
    const task = taskId === undefined ? undefined : this.#task(taskId);
    const asked =
      taskId === undefined ? inquiry : { ...inquiry, objectIds: task ? [task.id as never] : [] };
    const explanation = inquiry.explain === true ? await this.#explain(inquiry, task) : undefined;
    return {
      ...self,
      ...rowsOf(this.#core, asked),
      ...(explanation === undefined ? {} : { explanation }),
    };
  }

  #task(taskId: string): AnyObjectRef | undefined {
    const { tasks, processId } = this.#core;
    return tasks.unfinished(Infinity).find(({ number }) => taskIdOf(processId, number) === taskId);
  }

  async #explain(
    { objectIds = [], taskId, hops = HOPS_MAX }: ProcessInquiry,
    task: AnyObjectRef | undefined,
  ): Promise<Explanation | undefined> {
    const [objectId] = objectIds;
    if (taskId === undefined && objectId === undefined) return undefined;
    const ref = taskId === undefined ? findRef(this.#core, objectId as string) : task;
    // Of what is borrowed its owner knows more, and is asked as well.
    return ref?.owner === undefined && ref !== undefined
      ? explainRef(this.#core, ref, Math.min(hops, HOPS_MAX))
      : undefined;
  }
}

/** The last rows are left out when the answer is too long for a message. */
function encodeFitting(report: ProcessReport): Uint8Array {
  for (let fitting = report; ; fitting = half(fitting)) {
    try {
      return encodeControl(fitting);
    } catch (error) {
      const { rows, tasks = [] } = fitting;
      const isEmpty = rows.length + tasks.length === 0;
      if (isEmpty || !MantaError.is(error, 'ProtocolError')) throw error;
    }
  }
}

function half({ rows, tasks, ...report }: ProcessReport): ProcessReport {
  return {
    ...report,
    rows: rows.slice(0, rows.length / 2),
    ...(tasks && { tasks: tasks.slice(0, tasks.length / 2) }),
  };
}
