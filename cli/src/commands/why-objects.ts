import { InvalidArgumentError } from '@manta/runtime/errors/errors';
import type { ObjectId } from '@manta/runtime/ids';
import { explainTaskById, objectById } from '@manta/runtime/state/ask-nodes';
import {
  mergeAnswers,
  type ClusterObject,
  type ClusterObjects,
} from '@manta/runtime/state/cluster-objects';
import { describeObject } from '@manta/runtime/state/object-words';
import { parseTaskId } from '@manta/runtime/tasks/task-id';
import type { ControlClient } from '../control-client.ts';
import { gaps } from './object-tables.ts';

export interface ObjectReason {
  state: string;
  since?: number;
  reason: string;
  perNode?: Record<string, string>;
  object?: ClusterObject;
}

/** Of an object of any process of the cluster. @throws InvalidArgumentError when nobody knows it. */
export async function reasonOfObject(
  client: ControlClient,
  objectId: ObjectId,
): Promise<ObjectReason> {
  const found = await objectById(await client.asked(), objectId);
  const [object] = found.objects;
  if (object === undefined) throw unknown(`object ${objectId}`, found, OBJECT_HINT);
  const words = describeObject(object, found.processes);
  const { explanation } = found;
  if (explanation === undefined || explanation.state === 'ready')
    return { state: object.state, reason: words, object };
  const { perNode, reason, ...rest } = explanation;
  return {
    ...rest,
    reason: `${reason} ${words}`,
    ...(perNode === undefined ? {} : { perNode }),
    object,
  };
}

/** Of a task that is not over. @throws InvalidArgumentError when its submitter is gone or knows it no more. */
export async function reasonOfTask(client: ControlClient, taskId: string): Promise<ObjectReason> {
  const submitter = parseTaskId(taskId);
  if (submitter === undefined)
    throw new InvalidArgumentError(`"${taskId}" is no id of a task (t_…_…)`);
  const { explanation, answers, isFound } = await explainTaskById(
    await client.asked(),
    submitter,
    taskId,
  );
  const found = mergeAnswers(answers);
  if (explanation === undefined) {
    const hint = isFound
      ? `Process ${submitter}, which submitted it, has no such task that is not over: it has ended.`
      : `Process ${submitter}, which submitted it, has not answered or is gone, and its tasks with it.`;
    throw unknown(`task ${taskId}`, found, hint);
  }
  const { perNode, ...rest } = explanation;
  const [object] = found.objects;
  return {
    ...rest,
    ...(perNode === undefined ? {} : { perNode }),
    ...(object === undefined ? {} : { object }),
  };
}

const OBJECT_HINT =
  'It was freed or dropped, its owner has ended, or it never left its owner. See "manta list objects".';

function unknown(what: string, found: ClusterObjects, hint: string): InvalidArgumentError {
  const missing = gaps({ ...found, leftOut: 0 });
  const silent = missing.length === 0 ? '' : ` (${missing.join('; ')})`;
  return new InvalidArgumentError(`no process of the cluster knows ${what}${silent}. ${hint}`);
}
