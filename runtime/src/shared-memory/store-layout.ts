/**
 * The files of a store, all little-endian int32 words but for the data:
 *
 * ```
 * control              magic, version, limit (low, high), number of changes to the set of pin files
 * pins-<processId>     magic, version, capacity, account, used | pairs of (segment, first page + 1), segment 0 = empty
 * segment-<n>          magic, version, state, pages, owner | generation of each page | length of each slot | data
 * making-<processId>-… a segment that is not complete yet
 * ```
 *
 * Each word has one writer at a time, save the number of changes, which only processes that map it add to. So nothing
 * has to be repaired when a process dies between two writes.
 */
export const STORE_VERSION = 2;

/** Slots are multiples of this: of the page of every machine we map memory on (4 or 16 KiB). */
export const SLOT_PAGE_BYTES = 16 * 1024;

/** Keeps (segment, page) within the 53 bits of a number: a segment has at most 64 GiB. */
export const SEGMENT_PAGES_MAX = 2 ** 22;
export const SEGMENT_NUMBER_MAX = 2 ** 31 - 1;
export const GENERATION_MAX = 2 ** 31 - 1;

export const CONTROL = {
  magic: 0x4d_43_54_4c,
  words: 16,
  limitLow: 2,
  limitHigh: 3,
  pinFileChanges: 4,
} as const;

export const PINS = {
  magic: 0x4d_50_49_4e,
  headerWords: 16,
  capacity: 2,
  /** Pages of all segment files of the process, header and tables included. */
  account: 3,
  /** Only so many pairs were ever used: those behind them are empty. */
  used: 4,
} as const;

export const SEGMENT = {
  magic: 0x4d_53_45_47,
  headerWords: 64,
  state: 2,
  pages: 3,
  /** The process that writes here, as text. */
  owner: 16,
  ownerBytes: 64,
} as const;

export const SEGMENT_LIVE = 1;
/** The file was given back: who still has it mapped must map it anew. */
export const SEGMENT_RETIRED = 2;

export const controlPath = (directory: string): string => `${directory}/control`;
export const pinsPath = (directory: string, processId: string): string =>
  `${directory}/pins-${processId}`;
export const segmentPath = (directory: string, segmentId: number): string =>
  `${directory}/segment-${segmentId}`;
export const makingPath = (directory: string, processId: string, segmentId: number): string =>
  `${directory}/making-${processId}-${segmentId}`;

export const roundToPages = (sizeBytes: number): number => Math.ceil(sizeBytes / SLOT_PAGE_BYTES);

/** Word of the generation of the slot that starts at `page`; 0: none that may be opened. */
export const generationWord = (page: number): number => SEGMENT.headerWords + page;
/** Word of the length in pages of the slot that starts at `page`; 0: no slot starts there. */
export const lengthWord = (pages: number, page: number): number =>
  SEGMENT.headerWords + pages + page;

/** Where the data starts: behind header and tables, on a page. */
export const segmentDataOffset = (pages: number): number =>
  roundToPages((SEGMENT.headerWords + 2 * pages) * 4) * SLOT_PAGE_BYTES;
export const segmentFileBytes = (pages: number): number =>
  segmentDataOffset(pages) + pages * SLOT_PAGE_BYTES;
