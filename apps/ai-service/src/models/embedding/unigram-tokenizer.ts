/** A vocabulary as the model's package stores it: pieces with their log probabilities, the id being the position. */
export type UnigramVocabulary = readonly (readonly [piece: string, score: number])[];

/** Stands for a space; every word starts with it. */
const WORD_MARK = '▁';
/** The unknown piece and the control pieces: never found in text. */
const RESERVED_PIECE_COUNT = 6;
const UNKNOWN_ID = 0;
/** What an unknown character costs beyond the least likely piece, as in SentencePiece. */
const UNKNOWN_PENALTY = 10;

interface TrieNode {
  /** By UTF-16 code unit. */
  readonly children: Map<number, TrieNode>;
  pieceId: number | undefined;
}

/**
 * SentencePiece's unigram segmentation: of all ways to cut a word into pieces the likeliest, by Viterbi. Words are
 * independent because no piece crosses a space.
 */
export class UnigramTokenizer {
  readonly #root: TrieNode = { children: new Map(), pieceId: undefined };
  readonly #scores: readonly number[];
  readonly #unknownScore: number;
  readonly #pieceLengthMax: number;

  constructor(vocabulary: UnigramVocabulary) {
    this.#scores = vocabulary.map(([, score]) => score);
    this.#unknownScore = Math.min(...this.#scores) - UNKNOWN_PENALTY;
    this.#pieceLengthMax = Math.max(...vocabulary.map(([piece]) => piece.length));
    for (const [id, [piece]] of vocabulary.entries()) {
      if (id >= RESERVED_PIECE_COUNT) this.#insert(piece, id);
    }
  }

  /** The ids of the first `tokensMax` pieces at most. Work is bounded by that, whatever the length of the text. */
  encode(text: string, tokensMax: number): number[] {
    const ids: number[] = [];
    for (const [word] of text.normalize('NFKC').matchAll(/\S+/gu)) {
      // So many characters make at least so many pieces; what follows them cannot be seen any more.
      const characters = (tokensMax - ids.length) * this.#pieceLengthMax;
      ids.push(...this.#encodeWord(WORD_MARK + word.slice(0, characters)));
      if (ids.length >= tokensMax) return ids.slice(0, tokensMax);
    }
    return ids;
  }

  #insert(piece: string, id: number): void {
    let node = this.#root;
    for (let index = 0; index < piece.length; index++) {
      const unit = piece.charCodeAt(index);
      let child = node.children.get(unit);
      if (child === undefined)
        node.children.set(unit, (child = { children: new Map(), pieceId: undefined }));
      node = child;
    }
    // Where a piece is listed twice the first, likelier one counts.
    node.pieceId ??= id;
  }

  #encodeWord(word: string): number[] {
    const best = new Float64Array(word.length + 1).fill(-Infinity);
    const cameFrom = new Int32Array(word.length + 1);
    const pieceIds = new Int32Array(word.length + 1);
    best[0] = 0;
    const relax = (start: number, end: number, score: number, id: number): void => {
      const total = (best[start] ?? -Infinity) + score;
      if (total <= (best[end] ?? -Infinity)) return;
      best[end] = total;
      cameFrom[end] = start;
      pieceIds[end] = id;
    };
    for (let start = 0; start < word.length; start++) {
      if (best[start] === -Infinity) continue;
      this.#matchPieces(word, start, (end, id) => relax(start, end, this.#scores[id] ?? 0, id));
      relax(start, start + characterLength(word, start), this.#unknownScore, UNKNOWN_ID);
    }
    return readBack(cameFrom, pieceIds);
  }

  #matchPieces(word: string, start: number, found: (end: number, id: number) => void): void {
    let node: TrieNode | undefined = this.#root;
    for (let index = start; index < word.length; index++) {
      node = node.children.get(word.charCodeAt(index));
      if (node === undefined) return;
      if (node.pieceId !== undefined) found(index + 1, node.pieceId);
    }
  }
}

/** UTF-16 code units of the character at `index`: an unknown emoji is one unknown, not two. */
function characterLength(text: string, index: number): number {
  return (text.codePointAt(index) ?? 0) > 0xffff ? 2 : 1;
}

/** Follows the best path from its end; a run of unknown characters is one unknown piece. */
function readBack(cameFrom: Int32Array, pieceIds: Int32Array): number[] {
  const ids: number[] = [];
  for (let end = cameFrom.length - 1; end > 0; end = cameFrom[end] ?? 0) {
    const id = pieceIds[end] ?? UNKNOWN_ID;
    if (id !== UNKNOWN_ID || ids.at(-1) !== UNKNOWN_ID) ids.push(id);
  }
  return ids.reverse();
}
