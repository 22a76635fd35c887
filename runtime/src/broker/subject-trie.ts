/**
 * Which subscriptions a subject reaches. Pure. A subject is a list of tokens joined by dots; in a subscription `*`
 * stands for exactly one token and `>`, at the end only, for one or more.
 *
 * Lookups of the same subject are answered from a bounded cache, which a change of the subscriptions empties as far as
 * it concerns them.
 */
export interface TrieEntry {
  readonly subject: string;
  readonly queue: string | undefined;
}

export interface Matches<Entry> {
  /** Each of these gets the message. */
  readonly plain: readonly Entry[];
  /** One entry of each list gets the message. */
  readonly queues: readonly (readonly Entry[])[];
}

interface Level<Entry> {
  readonly literal: Map<string, Level<Entry>>;
  star: Level<Entry> | undefined;
  tail: Level<Entry> | undefined;
  readonly plain: Set<Entry>;
  readonly queues: Map<string, Set<Entry>>;
}

const CACHE_ENTRIES = 4_096;
const NOTHING: Matches<never> = { plain: [], queues: [] };

export class SubjectTrie<Entry extends TrieEntry> {
  readonly #root: Level<Entry> = newLevel();
  readonly #cache = new Map<string, Matches<Entry>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(entry: Entry): void {
    let level = this.#root;
    for (const token of entry.subject.split('.')) level = childFor(level, token);
    const entries = entry.queue === undefined ? level.plain : queueOf(level, entry.queue);
    if (entries.has(entry)) return;
    entries.add(entry);
    this.#size++;
    this.#forget(entry.subject);
  }

  remove(entry: Entry): void {
    if (removeFrom(this.#root, entry.subject.split('.'), 0, entry)) {
      this.#size--;
      this.#forget(entry.subject);
    }
  }

  /** The result is shared and must not be changed. */
  match(subject: string): Matches<Entry> {
    const cached = this.#cache.get(subject);
    if (cached !== undefined) return cached;
    const found = this.#lookUp(subject);
    if (this.#cache.size >= CACHE_ENTRIES) this.#cache.clear();
    this.#cache.set(subject, found);
    return found;
  }

  #lookUp(subject: string): Matches<Entry> {
    const tokens = subject.split('.');
    if (tokens.includes('')) return NOTHING;
    const plain: Entry[] = [];
    const queues = new Map<string, Entry[]>();
    collect(this.#root, tokens, 0, plain, queues);
    return { plain, queues: [...queues.values()] };
  }

  #forget(subject: string): void {
    if (hasWildcard(subject)) this.#cache.clear();
    else this.#cache.delete(subject);
  }
}

/** True for what a subscription may name: no empty token, no blank, wildcards only as whole tokens, `>` only last. */
export function isSubscribable(subject: string): boolean {
  const tokens = subject.split('.');
  return tokens.every(
    (token, index) => token !== '' && (token !== '>' || index === tokens.length - 1),
  );
}

/** True for what may be published to in pedantic mode: no empty token and no wildcard. */
export function isLiteral(subject: string): boolean {
  return isSubscribable(subject) && !hasWildcard(subject);
}

/** Whether `subject`, which has no wildcards, is one of those that `pattern` names. */
export function subjectMatches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const tokens = subject.split('.');
  for (const [index, token] of wanted.entries()) {
    if (token === '>') return tokens.length > index;
    if (index >= tokens.length || (token !== '*' && token !== tokens[index])) return false;
  }
  return wanted.length === tokens.length;
}

function hasWildcard(subject: string): boolean {
  return subject.split('.').some((token) => token === '*' || token === '>');
}

function newLevel<Entry>(): Level<Entry> {
  return {
    literal: new Map(),
    star: undefined,
    tail: undefined,
    plain: new Set(),
    queues: new Map(),
  };
}

function childFor<Entry>(level: Level<Entry>, token: string): Level<Entry> {
  if (token === '*') return (level.star ??= newLevel());
  if (token === '>') return (level.tail ??= newLevel());
  let child = level.literal.get(token);
  if (child === undefined) {
    child = newLevel();
    level.literal.set(token, child);
  }
  return child;
}

function existingChild<Entry>(level: Level<Entry>, token: string): Level<Entry> | undefined {
  if (token === '*') return level.star;
  if (token === '>') return level.tail;
  return level.literal.get(token);
}

function queueOf<Entry>(level: Level<Entry>, queue: string): Set<Entry> {
  let entries = level.queues.get(queue);
  if (entries === undefined) {
    entries = new Set();
    level.queues.set(queue, entries);
  }
  return entries;
}

function removeFrom<Entry extends TrieEntry>(
  level: Level<Entry>,
  tokens: string[],
  depth: number,
  entry: Entry,
): boolean {
  const token = tokens[depth];
  if (token === undefined) return removeHere(level, entry);
  const child = existingChild(level, token);
  if (child === undefined || !removeFrom(child, tokens, depth + 1, entry)) return false;
  if (isEmpty(child)) {
    if (token === '*') level.star = undefined;
    else if (token === '>') level.tail = undefined;
    else level.literal.delete(token);
  }
  return true;
}

function removeHere<Entry extends TrieEntry>(level: Level<Entry>, entry: Entry): boolean {
  if (entry.queue === undefined) return level.plain.delete(entry);
  const queue = level.queues.get(entry.queue);
  if (!queue?.delete(entry)) return false;
  if (queue.size === 0) level.queues.delete(entry.queue);
  return true;
}

function isEmpty<Entry>(level: Level<Entry>): boolean {
  return (
    level.plain.size === 0 &&
    level.queues.size === 0 &&
    level.literal.size === 0 &&
    level.star === undefined &&
    level.tail === undefined
  );
}

function collect<Entry>(
  level: Level<Entry>,
  tokens: string[],
  depth: number,
  plain: Entry[],
  queues: Map<string, Entry[]>,
): void {
  const token = tokens[depth];
  if (token === undefined) return take(level, plain, queues);
  if (level.tail !== undefined) take(level.tail, plain, queues);
  if (level.star !== undefined) collect(level.star, tokens, depth + 1, plain, queues);
  const child = level.literal.get(token);
  if (child !== undefined) collect(child, tokens, depth + 1, plain, queues);
}

function take<Entry>(level: Level<Entry>, plain: Entry[], queues: Map<string, Entry[]>): void {
  for (const entry of level.plain) plain.push(entry);
  for (const [name, entries] of level.queues) {
    const members = queues.get(name);
    if (members === undefined) queues.set(name, [...entries]);
    else members.push(...entries);
  }
}
