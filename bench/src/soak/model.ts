import { TaskError, type ObjectRef } from '@manta/sdk';
import type { Content } from './contents.ts';
import type { KeeperHandle } from './keeper.ts';

/** From the start of an actor's process to its kill. */
export interface Life {
  isOver: boolean;
}

/** What may explain that an object is not to be had. It outlives the refs, and does not hold them. */
export interface Fate {
  /** Of the objects that it is made of. */
  readonly parts: readonly Fate[];
  /** Lives whose end takes it along: of its owner, and of its maker while it is being made. */
  readonly lives: readonly Life[];
  /** Nodes that had died when it was made. */
  readonly nodeDeaths: number;
  /** It may end without a kill that we know of. */
  readonly isMortal: boolean;
  isFreed: boolean;
  /** Operations under way that may have its ref in hand. */
  uses: number;
}

/** A ref that is held, and what its object must be. */
export interface ObjectEntry {
  readonly ref: ObjectRef<unknown>;
  /** Of a nest: of its parts, in order. */
  readonly contents: readonly Content[];
  readonly isNest: boolean;
  readonly fate: Fate;
}

/** What an actor holds alone, as far as this driver is concerned. */
export interface Held {
  readonly content: Content;
  readonly fate: Fate;
  readonly life: Life;
}

export interface ActorEntry {
  readonly handle: KeeperHandle;
  readonly mayRestart: boolean;
  life: Life;
  /** Undefined while it is not known. */
  nodeId: string | undefined;
  readonly held: Map<string, Held>;
}

const EXPLAINED_BY_DEATH = [
  'ActorDiedError',
  'ActorUnavailableError',
  'NodeDiedError',
  'ObjectLostError',
  'ObjectReconstructionFailedError',
  'OwnerDiedError',
  'TaskCancelledError',
  'WorkerCrashedError',
];

/** What user code threw may stand for what it met itself. */
function rootOf(error: unknown): unknown {
  let root = error;
  while (root instanceof TaskError && root.cause !== undefined) root = root.cause;
  return root;
}

const nameOf = (error: unknown): string => (error as Error | undefined)?.name ?? '';

export class World {
  nodeDeaths = 0;

  fate(known: Partial<Fate> = {}): Fate {
    const nodeDeaths = this.nodeDeaths;
    return { parts: [], lives: [], nodeDeaths, isMortal: false, isFreed: false, uses: 0, ...known };
  }

  /** Whether something that was killed, or freed, explains that an operation failed with this. */
  explains(error: unknown, { lives, fates, nodeDeaths }: Circumstances): boolean {
    const name = nameOf(rootOf(error));
    if (name === 'ObjectFreedError') return fates.some((fate) => wasFreed(fate));
    if (!EXPLAINED_BY_DEATH.includes(name)) return false;
    return (
      nodeDeaths !== this.nodeDeaths ||
      lives.some(({ isOver }) => isOver) ||
      fates.some((fate) => this.#mayBeLost(fate))
    );
  }

  #mayBeLost({ isFreed, isMortal, nodeDeaths, lives, parts }: Fate): boolean {
    return (
      isFreed ||
      isMortal ||
      nodeDeaths !== this.nodeDeaths ||
      lives.some(({ isOver }) => isOver) ||
      parts.some((part) => this.#mayBeLost(part))
    );
  }
}

/** Counts an operation that begins (1) or ends (-1). */
export function use(fates: readonly Fate[], change: 1 | -1): void {
  for (const fate of fates) {
    fate.uses += change;
    use(fate.parts, change);
  }
}

/** What an operation has to do with; taken when it starts. */
export interface Circumstances {
  readonly lives: readonly Life[];
  readonly fates: readonly Fate[];
  readonly nodeDeaths: number;
}

function wasFreed({ isFreed, parts }: Fate): boolean {
  return isFreed || parts.some((part) => wasFreed(part));
}
