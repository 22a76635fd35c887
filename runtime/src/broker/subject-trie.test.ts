import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  SubjectTrie,
  isLiteral,
  isSubscribable,
  subjectMatches,
  type TrieEntry,
} from './subject-trie.ts';

const word = fc.constantFrom('a', 'b', 'c');
const subject = fc.array(word, { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join('.'));
const pattern = fc
  .tuple(
    fc.array(fc.oneof(word, fc.constant('*')), { maxLength: 3 }),
    fc.constantFrom('a', '*', '>'),
  )
  .map(([tokens, last]) => [...tokens, last].join('.'));
const entry: fc.Arbitrary<TrieEntry> = fc.record({
  subject: pattern,
  queue: fc.constantFrom(undefined, undefined, 'q', 'r'),
});

function expectMatches(trie: SubjectTrie<TrieEntry>, model: TrieEntry[], wanted: string): void {
  const found = trie.match(wanted);
  const expected = model.filter((candidate) => subjectMatches(candidate.subject, wanted));
  expect(new Set([...found.plain, ...found.queues.flat()])).toEqual(new Set(expected));
  expect(found.plain.every((candidate) => candidate.queue === undefined)).toBe(true);
  const names = found.queues.map((members) => new Set(members.map((member) => member.queue)));
  expect(names.every((queue) => queue.size === 1)).toBe(true);
  expect(new Set(names.flatMap((queue) => [...queue])).size).toBe(names.length);
}

describe('SubjectTrie', () => {
  it('finds what a plain comparison finds, through adds, removes and repeated lookups', () => {
    type Step = { add: TrieEntry } | { remove: number } | { match: string };
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({ add: entry }),
      fc.record({ remove: fc.nat() }),
      fc.record({ match: subject }),
      fc.record({ match: subject }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const trie = new SubjectTrie<TrieEntry>();
        const model: TrieEntry[] = [];
        for (const each of steps) {
          if ('match' in each) {
            expectMatches(trie, model, each.match);
          } else if ('add' in each) {
            const added = { ...each.add };
            trie.add(added);
            model.push(added);
          } else {
            const [removed] = model.splice(each.remove % (model.length + 1), 1);
            if (removed !== undefined) trie.remove(removed);
          }
          expect(trie.size).toBe(model.length);
        }
      }),
    );
  });

  it('counts an entry once and forgets unknown ones', () => {
    const trie = new SubjectTrie<TrieEntry>();
    const one = { subject: 'a.*', queue: undefined };
    trie.add(one);
    trie.add(one);
    trie.remove({ subject: 'a.*', queue: undefined });
    trie.remove({ subject: 'x.y.z', queue: 'q' });
    expect(trie.size).toBe(1);
    trie.remove(one);
    expect(trie.size).toBe(0);
    expect(trie.match('a.b').plain).toEqual([]);
  });

  it('stays right when more subjects are looked up than it remembers', () => {
    const trie = new SubjectTrie<TrieEntry>();
    const all = { subject: 'inbox.*', queue: undefined };
    trie.add(all);
    for (let index = 0; index < 10_000; index++)
      expect(trie.match(`inbox.${index}`).plain).toEqual([all]);
    trie.remove(all);
    expect(trie.match('inbox.9999').plain).toEqual([]);
  });
});

describe('subjects', () => {
  it.each(['a', 'a.b', '*', '>', 'a.*.>', 'a*', 'größe'])('%s can be subscribed to', (text) => {
    expect(isSubscribable(text)).toBe(true);
  });

  it.each(['', '.', 'a.', '.a', 'a..b', '>.a', 'a.>.b'])('%j cannot be subscribed to', (text) => {
    expect(isSubscribable(text)).toBe(false);
  });

  it('is literal without wildcards', () => {
    expect(['a.b', 'a.b*', 'a.*', 'a.>', 'a..b'].map(isLiteral)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});
