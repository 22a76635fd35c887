/**
 * Refs and handles travel inside values. The codec does not know their classes: whatever carries this symbol says
 * itself how it travels, and the receiving side is told to bring it back to life.
 */
export const TRANSFERABLE: unique symbol = Symbol.for('manta.transferable') as never;

export type TransferKind = 'ref' | 'handle';

export interface Transferable {
  /** `data` must be plain data that the codec can send. */
  [TRANSFERABLE](): { kind: TransferKind; data: unknown };
}
