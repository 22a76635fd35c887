import { Packr, type Options } from 'msgpackr';

/** Fields that are undefined are left out. */
const options: Options & { skipValues: unknown[] } = {
  useRecords: false,
  // Missing in msgpackr's types.
  skipValues: [undefined],
};
const packr = new Packr(options);

export function encodeRecord(value: unknown): Buffer {
  return packr.pack(value);
}

/** Copies byte fields out of `bytes`, which may belong to the store. */
export function decodeRecord(bytes: Uint8Array): unknown {
  return packr.unpack(Buffer.from(bytes));
}
