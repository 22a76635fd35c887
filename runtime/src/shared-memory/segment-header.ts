import { fstatSync, readSync } from 'node:fs';
import {
  SEGMENT,
  SEGMENT_LIVE,
  SEGMENT_PAGES_MAX,
  segmentFileBytes,
  STORE_VERSION,
} from './store-layout.ts';

export interface SegmentHeader {
  pages: number;
  owner: string;
}

/** Undefined unless the file is a live segment of the length that it says: mapping more than there is would be fatal. */
export function readSegmentHeader(fd: number): SegmentHeader | undefined {
  const header = Buffer.alloc(SEGMENT.headerWords * 4);
  if (readSync(fd, header, 0, header.length, 0) < header.length) return undefined;
  const words = new Int32Array(header.buffer, header.byteOffset, SEGMENT.headerWords);
  const pages = words[SEGMENT.pages] ?? 0;
  const isKnown =
    words[0] === SEGMENT.magic &&
    words[1] === STORE_VERSION &&
    words[SEGMENT.state] === SEGMENT_LIVE &&
    pages > 0 &&
    pages <= SEGMENT_PAGES_MAX;
  if (!isKnown || fstatSync(fd).size < segmentFileBytes(pages)) return undefined;
  const start = SEGMENT.owner * 4;
  const owner = header.toString('latin1', start, start + SEGMENT.ownerBytes);
  return { pages, owner: owner.replace(/\0.*$/s, '') };
}
