import type { ProcessAddress } from '../wire/messages.ts';
import { addressFrom, addressRecord, type AddressRecord } from './address-record.ts';

/** Who calls: it will own the results. */
export interface Caller {
  readonly address: ProcessAddress;
  /** It can take values that are stored (it has a store, or pulls them); else they go inside messages. */
  readonly takesStored: boolean;
}

export type CallerRecord = [address: AddressRecord, takesStored: boolean];

export function callerRecord({ address, takesStored }: Caller): CallerRecord {
  return [addressRecord(address), takesStored];
}

/** Undefined for a caller that does not say. @throws ProtocolError */
export function callerFrom(value: unknown): Caller | undefined {
  if (!Array.isArray(value)) return undefined;
  return { address: addressFrom(value[0]), takesStored: value[1] === true };
}
