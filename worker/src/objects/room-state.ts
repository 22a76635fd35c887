import type { ProcessId } from '@manta/runtime/ids';

/**
 * How room is made in a node's memory: one piece of work at a time, for the first that waits. Pure.
 *
 * ```
 *          (1) a process found no room                (3) garbage was collected: it tries again
 *   ∅ ───────────────────────────────▶ queued ──reclaim──────────────────────────────────────▶ answered
 *                                       │  ▲                                                       ▲
 *                 (2) it tried again    │  │ (5) after a pause      (4) something left memory      │
 *                     in vain           └──┼──────────spill────────────────────────────────────────┘
 *                                          │            │ (6) nothing could
 *                                          └─────────waiting ──(7) patience is over──▶ refused
 * ```
 * Nobody here knows whether freed pages lie together, so an answer means "try again", and who tries in vain asks again:
 * every second time that a process asks within `CHAIN_MS` of its last answer, blobs leave memory rather than garbage.
 * Each answer by (4) makes the store emptier, so this ends.
 *
 * In the background, from `PRESSURE` of the limit on: garbage is collected, and when what lives is still more, the least
 * recently used goes to disk until `PRESSURE_TARGET` is left.
 */
export interface Need {
  readonly id: number;
  /** Undefined: the agent itself, for a blob to restore or pull. */
  readonly process: ProcessId | undefined;
  readonly bytes: number;
  attempt: number;
  notBeforeMs: number;
  /** Since when nothing could leave memory for it. */
  hungrySinceMs: number | undefined;
}

export interface MemoryUse {
  limitBytes: number;
  /** Of all segments, free pages included. */
  usedBytes: number;
}

interface Chain {
  attempt: number;
  answeredAtMs: number;
  hungrySinceMs: number | undefined;
}

export interface RoomState {
  readonly needs: Need[];
  work: { need: Need | undefined; stage: 'reclaim' | 'spill' } | undefined;
  /** When each process was last answered, and how often in a row. */
  readonly chains: Map<ProcessId | undefined, Chain>;
  backgroundNotBeforeMs: number;
  backgroundPauseMs: number;
}

export type RoomEvent =
  | { type: 'need'; id: number; process: ProcessId | undefined; bytes: number }
  /** `liveBytes`: of blobs in memory, as far as known. `freedBytes`: how much less there is than before. */
  | { type: 'reclaimed'; freedBytes: number; liveBytes: number }
  | { type: 'spilled'; freedBytes: number }
  | { type: 'tick' }
  /** The process is gone: it needs nothing any more. */
  | { type: 'gone'; process: ProcessId };

export type RoomEffect =
  | { type: 'answer'; id: number }
  | { type: 'refuse'; id: number; bytes: number; tooLarge: boolean }
  /** Who needed it is gone. */
  | { type: 'forget'; id: number }
  /** `need`: whom it is for; undefined: in the background. */
  | { type: 'reclaim'; bytes: number; need: Need | undefined }
  | { type: 'spill'; bytes: number; need: Need | undefined };

export const PRESSURE = 0.8;
export const PRESSURE_TARGET = 0.7;
export const PATIENCE_MS = 2_000;
const CHAIN_MS = 1_000;
const PAUSE_MS = 100;
const BACKGROUND_PAUSE_MS = 1_000;
const BACKGROUND_PAUSE_MAX_MS = 32_000;
/** A segment has a header and a generation for each page. */
const SEGMENT_OVERHEAD = 1 / 512;

export function createRoomState(): RoomState {
  return {
    needs: [],
    work: undefined,
    chains: new Map(),
    backgroundNotBeforeMs: 0,
    backgroundPauseMs: BACKGROUND_PAUSE_MS,
  };
}

export function stepRoom(
  state: RoomState,
  event: RoomEvent,
  memory: MemoryUse,
  nowMs: number,
): RoomEffect[] {
  const effects = take(state, event, memory, nowMs);
  return [...effects, ...next(state, memory, nowMs)];
}

function take(state: RoomState, event: RoomEvent, memory: MemoryUse, nowMs: number): RoomEffect[] {
  switch (event.type) {
    case 'need':
      return takeNeed(state, event, memory, nowMs);
    case 'reclaimed':
      return reclaimed(state, event, memory, nowMs);
    case 'spilled':
      return spilled(state, event.freedBytes, nowMs);
    case 'tick':
      return [];
    case 'gone': {
      state.chains.delete(event.process);
      const forgotten = state.needs.filter(({ process }) => process === event.process);
      for (const need of forgotten) drop(state, need);
      return forgotten.map(({ id }) => ({ type: 'forget', id }));
    }
  }
}

/** (1), (2) */
function takeNeed(
  state: RoomState,
  { id, process, bytes }: { id: number; process: ProcessId | undefined; bytes: number },
  { limitBytes }: MemoryUse,
  nowMs: number,
): RoomEffect[] {
  if (bytes * (1 + SEGMENT_OVERHEAD) > limitBytes)
    return [{ type: 'refuse', id, bytes, tooLarge: true }];
  const chain = state.chains.get(process);
  const goesOn = chain !== undefined && nowMs - chain.answeredAtMs < CHAIN_MS;
  const attempt = goesOn ? chain.attempt + 1 : 1;
  const hungrySinceMs = goesOn ? chain.hungrySinceMs : undefined;
  state.needs.push({ id, process, bytes, attempt, notBeforeMs: nowMs, hungrySinceMs });
  return [];
}

function next(state: RoomState, memory: MemoryUse, nowMs: number): RoomEffect[] {
  if (state.work !== undefined) return [];
  const need = state.needs.find(({ notBeforeMs }) => notBeforeMs <= nowMs);
  if (need !== undefined) {
    const stage = need.attempt % 2 === 1 ? 'reclaim' : 'spill';
    state.work = { need, stage };
    return [{ type: stage, bytes: need.bytes, need }];
  }
  const isPressing = memory.usedBytes >= PRESSURE * memory.limitBytes;
  if (!isPressing || nowMs < state.backgroundNotBeforeMs) return [];
  state.work = { need: undefined, stage: 'reclaim' };
  return [{ type: 'reclaim', bytes: 0, need: undefined }];
}

function reclaimed(
  state: RoomState,
  { freedBytes, liveBytes }: { freedBytes: number; liveBytes: number },
  { limitBytes }: MemoryUse,
  nowMs: number,
): RoomEffect[] {
  const { work } = state;
  state.work = undefined;
  if (work === undefined) return [];
  if (work.need !== undefined) return collected(state, work.need, freedBytes, nowMs);
  if (liveBytes < PRESSURE * limitBytes) {
    rest(state, freedBytes > 0, nowMs);
    return [];
  }
  state.work = { need: undefined, stage: 'spill' };
  const bytes = liveBytes - PRESSURE_TARGET * limitBytes;
  return [{ type: 'spill', bytes, need: undefined }];
}

/** Who is hungry already is not sent to try again for nothing. */
function collected(state: RoomState, need: Need, freedBytes: number, nowMs: number): RoomEffect[] {
  if (need.hungrySinceMs === undefined || freedBytes > 0) return answer(state, need, nowMs);
  need.attempt += 1;
  return [];
}

function spilled(state: RoomState, freedBytes: number, nowMs: number): RoomEffect[] {
  const { work } = state;
  state.work = undefined;
  if (work === undefined) return [];
  if (work.need === undefined) {
    rest(state, freedBytes > 0, nowMs);
    return [];
  }
  if (freedBytes > 0) {
    work.need.hungrySinceMs = undefined;
    return answer(state, work.need, nowMs);
  }
  return pause(state, work.need, nowMs);
}

/** (3), (4) */
function answer(state: RoomState, need: Need, nowMs: number): RoomEffect[] {
  if (!drop(state, need)) return [];
  const { id, process, attempt, hungrySinceMs } = need;
  state.chains.set(process, { attempt, answeredAtMs: nowMs, hungrySinceMs });
  return [{ type: 'answer', id }];
}

/** (5), (6), (7) */
function pause(state: RoomState, need: Need, nowMs: number): RoomEffect[] {
  const { id, bytes } = need;
  need.hungrySinceMs ??= nowMs;
  if (nowMs - need.hungrySinceMs >= PATIENCE_MS) {
    state.chains.delete(need.process);
    return drop(state, need) ? [{ type: 'refuse', id, bytes, tooLarge: false }] : [];
  }
  need.notBeforeMs = nowMs + PAUSE_MS;
  // Readers may let go of what they hold: collect first.
  need.attempt += 1;
  // Others get their turn meanwhile.
  if (drop(state, need)) state.needs.push(need);
  return [];
}

function drop(state: RoomState, need: Need): boolean {
  const index = state.needs.indexOf(need);
  if (index < 0) return false;
  state.needs.splice(index, 1);
  return true;
}

function rest(state: RoomState, helped: boolean, nowMs: number): void {
  state.backgroundPauseMs = helped
    ? BACKGROUND_PAUSE_MS
    : Math.min(2 * state.backgroundPauseMs, BACKGROUND_PAUSE_MAX_MS);
  state.backgroundNotBeforeMs = nowMs + state.backgroundPauseMs;
}
