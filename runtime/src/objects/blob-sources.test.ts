import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BlobId, NodeId, ProcessId } from '../ids.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import type { BlobDescriptor } from './blob.ts';
import { BlobSources, PULLS_PER_COPY } from './blob-sources.ts';

const agentOf = (node: number): ProcessAddress => ({
  processId: `p_agent${node}` as ProcessId,
  nodeId: `n_${node}` as NodeId,
  machineId: 'm',
});
const blobId = 'b_1' as BlobId;
const blobAt = (node: number): BlobDescriptor => ({
  blobId,
  sizeBytes: 1,
  agent: agentOf(node),
  slot: undefined,
});

interface Answer {
  source?: number;
  lost?: string;
}

/** Node `node` asks; what it is told is noted. */
function ask(sources: BlobSources, node: number): Answer {
  const answer: Answer = {};
  const { processId, nodeId } = agentOf(node);
  sources.source(
    blobId,
    processId,
    { nodeId: nodeId as NodeId },
    {
      onSource: (agent) => (answer.source = Number(agent.nodeId?.slice(2))),
      onLost: (reason) => (answer.lost = reason),
    },
  );
  return answer;
}
const copied = (sources: BlobSources, node: number): boolean =>
  sources.copied(blobId, agentOf(node).processId, agentOf(node));
const fail = (
  sources: BlobSources,
  node: number,
  source: number,
  failure: 'missing' | 'unreachable',
): ProcessAddress | undefined =>
  sources.failed(blobId, agentOf(node).processId, { nodeId: `n_${source}` as NodeId, failure });

function sourcesWithCopyAt(...nodes: number[]): BlobSources {
  const sources = new BlobSources();
  for (const node of nodes) sources.add(blobAt(node));
  return sources;
}

describe('the owner’s choice of a source', () => {
  it('names the only copy to two askers and lets the third wait for a new copy (1, 2, 4)', () => {
    const sources = sourcesWithCopyAt(0);
    const [first, second, third] = [ask(sources, 1), ask(sources, 2), ask(sources, 3)];
    expect([first, second, third]).toEqual([{ source: 0 }, { source: 0 }, {}]);
    copied(sources, 1);
    expect(third.source).toBe(1);
    expect(sources.copies(blobId).map(({ nodeId }) => nodeId)).toEqual(['n_0', 'n_1']);
    expect(sources.pullsBySource(blobId)).toEqual(
      new Map([
        ['n_0', 2],
        ['n_1', 1],
      ]),
    );
  });

  it('prefers the copy that is least busy', () => {
    const sources = sourcesWithCopyAt(0, 1);
    expect([2, 3, 4, 5].map((node) => ask(sources, node).source)).toEqual([0, 1, 0, 1]);
  });

  it('gives room back when a pull ends without a copy, and when its process is gone', () => {
    const sources = sourcesWithCopyAt(0);
    ask(sources, 1);
    ask(sources, 2);
    const [third, fourth] = [ask(sources, 3), ask(sources, 4)];
    sources.ended(blobId, agentOf(1).processId);
    expect([third.source, fourth.source]).toEqual([0, undefined]);
    sources.askerGone(agentOf(2).processId);
    expect(fourth.source).toBe(0);
  });

  it('strikes off a copy that is missing, and tells all when none is left (3, 5)', () => {
    const lost: BlobId[] = [];
    const sources = new BlobSources({ onLost: (id) => lost.push(id) });
    sources.add(blobAt(0));
    sources.add(blobAt(1));
    expect(ask(sources, 2).source).toBe(0);
    fail(sources, 2, 0, 'missing');
    expect(ask(sources, 2).source).toBe(1);
    sources.nodeDied('n_1' as NodeId);
    expect(ask(sources, 3).lost).toMatch(/freed or lost/);
    expect(lost).toEqual([blobId]);
    expect(copied(sources, 2)).toBe(false);
  });

  it('lets an asker wait while a source that it cannot reach is looked at, and gives it again if it lives', () => {
    const sources = sourcesWithCopyAt(0);
    for (let failures = 1; failures <= 3; failures += 1) {
      expect(ask(sources, 1).source).toBe(0);
      expect(fail(sources, 1, 0, 'unreachable')).toEqual(agentOf(0));
      const again = ask(sources, 1);
      expect(again).toEqual({});
      sources.probed(blobId, agentOf(1).processId, 'n_0' as NodeId);
      expect(again.source).toBe(failures < 3 ? 0 : undefined);
      expect(again.lost !== undefined).toBe(failures === 3);
    }
    expect(ask(sources, 2).source).toBe(0);
  });

  it('refuses who waits for a source that turns out to be dead', () => {
    const sources = sourcesWithCopyAt(0);
    ask(sources, 1);
    fail(sources, 1, 0, 'unreachable');
    const again = ask(sources, 1);
    sources.nodeDied('n_0' as NodeId);
    expect(again.lost).toMatch(/no copy/);
  });

  it('strikes off the copy of a node that asks for it', () => {
    const sources = sourcesWithCopyAt(0, 1);
    expect(ask(sources, 1).source).toBe(0);
    expect(sources.copies(blobId)).toEqual([agentOf(0)]);
  });

  it('lets a copy go that another node has too and nobody pulls from, never the last one', () => {
    const sources = sourcesWithCopyAt(0, 1);
    const giveUp = (copy: number): boolean => sources.giveUp(blobId, agentOf(copy).processId);
    expect(ask(sources, 2).source).toBe(0);
    expect([giveUp(0), giveUp(1), giveUp(1)]).toEqual([false, true, true]);
    expect(sources.copies(blobId)).toEqual([agentOf(0)]);
    copied(sources, 2);
    expect([giveUp(0), giveUp(2)]).toEqual([true, false]);
    expect(sources.copies(blobId)).toEqual([agentOf(2)]);
  });

  it('refuses who waits when the object is freed, and names the copies to release', () => {
    const sources = sourcesWithCopyAt(0);
    ask(sources, 1);
    ask(sources, 2);
    const waiting = ask(sources, 3);
    expect(sources.remove(blobId)).toEqual([agentOf(0)]);
    expect(waiting.lost).toMatch(/freed/);
    expect(sources.size).toBe(0);
  });
});

type Step =
  | { type: 'ask' | 'copied' | 'ended' | 'gone' | 'died' | 'giveUp'; node: number }
  | { type: 'failed'; node: number; failure: 'missing' | 'unreachable'; lives: boolean };

const node = fc.nat({ max: 9 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ type: fc.constant('ask' as const), node }),
  fc.record({ type: fc.constantFrom('copied' as const, 'ended' as const, 'gone' as const), node }),
  { arbitrary: fc.record({ type: fc.constant('died' as const), node }), weight: 1 },
  fc.record({ type: fc.constant('giveUp' as const), node }),
  fc.record({
    type: fc.constant('failed' as const),
    node,
    failure: fc.constantFrom('missing' as const, 'unreachable' as const),
    lives: fc.boolean(),
  }),
);

/** Plays steps and keeps count of who pulls from whom, as the askers see it. */
class Askers {
  readonly sources = sourcesWithCopyAt(0, 1);
  readonly pulling = new Map<number, number>();
  readonly waiting = new Map<number, Answer>();

  play(step: Step): void {
    switch (step.type) {
      case 'ask':
        this.pulling.delete(step.node);
        this.waiting.delete(step.node);
        this.waiting.set(step.node, ask(this.sources, step.node));
        break;
      case 'copied':
        if (this.pulling.delete(step.node)) copied(this.sources, step.node);
        break;
      case 'ended':
      case 'gone':
        this.pulling.delete(step.node);
        this.waiting.delete(step.node);
        if (step.type === 'gone') this.sources.askerGone(agentOf(step.node).processId);
        else this.sources.ended(blobId, agentOf(step.node).processId);
        break;
      case 'died':
        this.sources.nodeDied(`n_${step.node}` as NodeId);
        break;
      case 'giveUp':
        this.#giveUp(step.node);
        break;
      case 'failed':
        this.#fail(step);
        break;
    }
    this.#notice();
  }

  #giveUp(copy: number): void {
    const before = this.sources.copies(blobId).length;
    const isGone = this.sources.giveUp(blobId, agentOf(copy).processId);
    const left = this.sources.copies(blobId).length;
    if (left === before) return;
    if (!isGone || left === 0 || [...this.pulling.values()].includes(copy))
      throw new Error(`the copy of node ${copy} may not go`);
  }

  #fail({ node: asker, failure, lives }: Extract<Step, { type: 'failed' }>): void {
    const source = this.pulling.get(asker);
    if (source === undefined) return;
    this.pulling.delete(asker);
    const suspect = fail(this.sources, asker, source, failure);
    this.waiting.set(asker, ask(this.sources, asker));
    if (suspect === undefined) return;
    const nodeId = `n_${source}` as NodeId;
    if (lives) this.sources.probed(blobId, agentOf(asker).processId, nodeId);
    else this.sources.nodeDied(nodeId);
  }

  #notice(): void {
    for (const [asker, answer] of this.waiting) {
      if (answer.source === undefined && answer.lost === undefined) continue;
      if (answer.source !== undefined && answer.lost !== undefined)
        throw new Error(`asker ${asker} was answered twice`);
      this.waiting.delete(asker);
      if (answer.source !== undefined) this.pulling.set(asker, answer.source);
    }
  }
}

describe('any history of askers, copies and deaths', () => {
  it('never has more than two pulls on a copy, and leaves nobody waiting while a copy has room', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const askers = new Askers();
        for (const one of steps) {
          askers.play(one);
          const copies = askers.sources.copies(blobId);
          const busy = copies.map(
            ({ nodeId }) =>
              [...askers.pulling.values()].filter((source) => `n_${source}` === nodeId).length,
          );
          for (const pulls of busy) expect(pulls).toBeLessThanOrEqual(PULLS_PER_COPY);
          // Nothing is being looked at any more, so who waits does so because copies are busy.
          const mayWait = busy.includes(PULLS_PER_COPY);
          expect(askers.waiting.size === 0 || mayWait).toBe(true);
        }
        askers.sources.remove(blobId);
        askers.play({ type: 'gone', node: 0 });
        expect(askers.waiting.size).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('serves those who never failed in the order in which they asked', () => {
    const order = fc.shuffledSubarray([1, 2, 3, 4, 5, 6, 7, 8, 9], { minLength: 9 });
    fc.assert(
      fc.property(order, fc.infiniteStream(fc.nat()), (nodes, picks) => {
        const sources = sourcesWithCopyAt(0);
        const answers = nodes.map((asker) => ({ asker, answer: ask(sources, asker) }));
        const done = new Set<number>();
        for (const pick of picks) {
          const unserved = answers.findIndex(({ answer }) => answer.source === undefined);
          const later = unserved === -1 ? [] : answers.slice(unserved);
          expect(later.every(({ answer }) => answer.source === undefined)).toBe(true);
          const running = answers.filter(
            ({ asker, answer }) => answer.source !== undefined && !done.has(asker),
          );
          const next = running[pick % running.length];
          if (next === undefined) break;
          done.add(next.asker);
          copied(sources, next.asker);
        }
        expect(done.size).toBe(nodes.length);
      }),
    );
  });
});

/** Nodes 1…n all want what node 0 has; a pull takes one unit of time on average. */
function broadcast(count: number, durationOf: () => number): { time: number; busiest: number } {
  const sources = sourcesWithCopyAt(0);
  const running: { node: number; endsAt: number }[] = [];
  let time = 0;
  for (let asker = 1; asker <= count; asker += 1) {
    const { processId, nodeId } = agentOf(asker);
    sources.source(
      blobId,
      processId,
      { nodeId: nodeId as NodeId },
      {
        onSource: () => running.push({ node: asker, endsAt: time + durationOf() }),
        onLost: (reason) => expect.unreachable(reason),
      },
    );
  }
  while (running.length > 0) {
    running.sort((a, b) => b.endsAt - a.endsAt);
    const next = running.pop();
    if (next === undefined) break;
    time = next.endsAt;
    copied(sources, next.node);
  }
  expect(sources.copies(blobId)).toHaveLength(count + 1);
  return { time, busiest: Math.max(...sources.pullsBySource(blobId).values()) };
}

describe('a broadcast', () => {
  it.each([1, 2, 8, 26, 80, 242, 728])('to %i nodes takes log3 rounds', (count) => {
    const rounds = Math.ceil(Math.log(count + 1) / Math.log(3) - 1e-9);
    const { time, busiest } = broadcast(count, () => 1);
    expect(time).toBe(rounds);
    expect(busiest).toBeLessThanOrEqual(PULLS_PER_COPY * rounds);
  });

  it('stays logarithmic when pulls take from half to twice the time', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 700 }),
        fc.infiniteStream(fc.double({ min: 0.5, max: 2, noNaN: true })),
        (count, durations) => {
          const { time } = broadcast(count, () => durations.next().value as number);
          expect(time).toBeLessThanOrEqual(2 * Math.ceil(Math.log(count + 1) / Math.log(3)) + 2);
        },
      ),
      { numRuns: 50 },
    );
  });
});
