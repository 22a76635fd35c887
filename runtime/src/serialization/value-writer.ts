import { types } from 'node:util';
import { writeErrorRecord } from './error-record.ts';
import { TRANSFERABLE, type Transferable } from './transferable.ts';
import {
  classNameOf,
  elementSegment,
  keySegment,
  mapValueSegment,
  memberSegment,
  propertySegment,
  Unsendable,
  whyUnsendable,
} from './unsendable.ts';
import {
  ERROR_OBJECTS,
  EXTENSION,
  KIND_OF_CLASS_NAME,
  KIND_OF_PROTOTYPE,
  REFERENCES_FLAG,
  TRANSFERABLES_FLAG,
  VALUE_FORMAT_VERSION,
  type ObjectKind,
  type ValueLimits,
} from './value-format.ts';
import { ObjectNumbers } from './object-numbers.ts';
import { OutputBuffer } from './value-output.ts';
import type { EncodedParts } from './value-parts.ts';

const NO_LIMITS: ValueLimits = {
  valueDepth: 0,
  valueBytes: 0,
  storedBytes: 0,
  valueObjects: 0,
  valueElements: 0,
};
/** Between values; never added to. */
const NO_TRANSFERABLES: Transferable[] = [];
/** Arrays of at least so many elements are tried as blocks of numbers. */
const PACKED_ARRAY_MIN = 16;
/** Below this a string is written byte by byte, as long as it is ASCII. */
const SHORT_STRING_MAX = 48;

/** Writes one value in one pass. Not reentrant: user code that runs meanwhile must use another writer. */
export class ValueWriter {
  transferables: Transferable[] = [];
  /** How many `cause` links lead to what is being written; kept for `error-record.ts`. */
  causeDepth = 0;
  private readonly output = new OutputBuffer();
  private readonly numbers = new ObjectNumbers();
  private hasReferences = false;
  private depth = 0;
  private objectBudget = 0;
  private elementBudget = 0;
  private limits: ValueLimits = NO_LIMITS;
  private acceptsTransferables = true;

  /** @throws Unsendable, and whatever else user code throws. The writer is ready for the next value either way. */
  encode(value: unknown, limits: ValueLimits, acceptsTransferables: boolean): Uint8Array {
    try {
      this.begin(limits, acceptsTransferables, false);
      this.write(value);
      return this.output.finish(this.header());
    } finally {
      this.end();
    }
  }

  /** The same in parts, of which the large ones are the user's own memory. */
  encodeParts(value: unknown, limits: ValueLimits, acceptsTransferables: boolean): EncodedParts {
    const { output } = this;
    try {
      this.begin(limits, acceptsTransferables, true);
      this.write(value);
      const parts = output.finishParts(this.header());
      return { parts, sizeBytes: output.sizeBytes, transferables: this.takeTransferables() };
    } finally {
      this.end();
    }
  }

  write(value: unknown): void {
    switch (typeof value) {
      case 'string':
        return this.writeString(value);
      case 'number':
        return this.output.number(value);
      case 'boolean':
        return this.output.byte(value ? 0xc3 : 0xc2);
      case 'undefined':
        return this.output.bytes3(0xd4, EXTENSION.undefined, 0);
      case 'bigint':
        return this.writeBigint(value);
      case 'object':
        return value === null ? this.output.byte(0xc0) : this.writeObject(value);
      case 'function':
        if ((value as Partial<Transferable>)[TRANSFERABLE] === undefined)
          throw new Unsendable(whyUnsendable(value));
        return this.writeObject(value);
      default:
        throw new Unsendable(whyUnsendable(value));
    }
  }

  writeString(text: string): void {
    const { output } = this;
    if (text.length < SHORT_STRING_MAX && output.asciiString(text)) return;
    if (isWellFormed(text)) return output.utf8String(text);
    this.countObjects(1);
    output.extensionHeader(EXTENSION.utf16, text.length * 2);
    output.utf16(text);
  }

  /** The value, or a text that says why it is not there. `read` may throw, too. */
  writeLenient(read: () => unknown): void {
    const mark = this.output.mark();
    const objects = this.numbers.count;
    const { depth, causeDepth } = this;
    const transferableCount = this.transferables.length;
    try {
      this.write(read());
    } catch (error) {
      this.output.rollback(mark);
      this.numbers.forgetAfter(objects);
      this.transferables.length = transferableCount;
      this.depth = depth;
      this.causeDepth = causeDepth;
      this.writeString(`[not sent: ${Unsendable.from(error).reason}]`);
    }
  }

  /** An array whose elements are each written leniently. */
  writeLenientArray(array: readonly unknown[]): void {
    if (this.writeReferenceIfKnown(array)) return;
    this.enter();
    this.arrayHeader(array.length);
    for (let index = 0; index < array.length; index++) this.writeLenient(() => array[index]);
    this.depth--;
  }

  mapHeader(size: number): void {
    this.countElements(size * 2);
    this.output.mapHeader(size);
  }

  /** Writes an extension around whatever `content` writes. */
  writeExtension(type: number, content: () => void): void {
    const mark = this.output.beginExtension(type);
    content();
    this.output.endExtension(mark);
  }

  /** What was met; an idle writer must not keep refs alive. */
  takeTransferables(): Transferable[] {
    const { transferables } = this;
    this.transferables = NO_TRANSFERABLES;
    return transferables;
  }

  private begin(limits: ValueLimits, acceptsTransferables: boolean, inParts: boolean): void {
    this.limits = limits;
    this.objectBudget = limits.valueObjects;
    this.elementBudget = limits.valueElements;
    this.acceptsTransferables = acceptsTransferables;
    this.transferables = [];
    this.hasReferences = false;
    this.depth = 0;
    this.causeDepth = 0;
    this.output.begin(inParts ? limits.storedBytes : limits.valueBytes, inParts);
    this.output.byte(0);
  }

  private header(): number {
    return (
      (VALUE_FORMAT_VERSION << 4) |
      (this.hasReferences ? REFERENCES_FLAG : 0) |
      (this.transferables.length > 0 ? TRANSFERABLES_FLAG : 0)
    );
  }

  private end(): void {
    this.output.reset();
    this.numbers.clear();
  }

  private enter(): void {
    if (++this.depth > this.limits.valueDepth) {
      throw new Unsendable(
        `it is nested deeper than ${this.limits.valueDepth} levels; send a flatter value`,
      );
    }
    this.countObjects(1);
  }

  private countObjects(count: number): void {
    this.objectBudget -= count;
    if (this.objectBudget < 0) throw tooMany(this.limits.valueObjects, 'objects');
  }

  private countElements(count: number): void {
    this.elementBudget -= count;
    if (this.elementBudget < 0) throw tooMany(this.limits.valueElements, 'elements');
  }

  private arrayHeader(length: number): void {
    this.countElements(length);
    this.output.arrayHeader(length);
  }

  /** Numbers the object when it is new. */
  private writeReferenceIfKnown(value: object): boolean {
    const number = this.numbers.numberOf(value);
    if (number === undefined) return false;
    this.hasReferences = true;
    this.output.reference(number);
    return true;
  }

  private writeObject(value: object): void {
    if (this.writeReferenceIfKnown(value)) return;
    this.enter();
    if (Array.isArray(value)) this.writeArray(value);
    else if ((value as Partial<Transferable>)[TRANSFERABLE] !== undefined)
      this.writeTransferable(value as Transferable);
    else {
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype === Object.prototype || prototype === null)
        this.writePlain(value as Record<string, unknown>);
      else this.writeKnown(value, prototype as object);
    }
    this.depth--;
  }

  private writeArray(array: readonly unknown[]): void {
    if (Object.getPrototypeOf(array) !== Array.prototype && classNameOf(array) !== 'Array') {
      throw new Unsendable(whyUnsendable(array));
    }
    const { length } = array;
    if (length >= PACKED_ARRAY_MIN && this.output.packedNumbers(array)) return;
    this.arrayHeader(length);
    let index = 0;
    try {
      for (; index < length; index++) this.write(array[index]);
    } catch (error) {
      throw Unsendable.at(error, elementSegment(index));
    }
  }

  private writePlain(object: Record<string, unknown>): void {
    const keys = Object.keys(object);
    const { length } = keys;
    this.mapHeader(length);
    let index = 0;
    try {
      for (; index < length; index++) {
        const key = keys[index] as string;
        this.writeString(key);
        this.write(object[key]);
      }
    } catch (error) {
      throw Unsendable.at(error, propertySegment(keys[index] as string));
    }
  }

  private writeTransferable(value: Transferable): void {
    if (!this.acceptsTransferables)
      throw new Unsendable('it is a ref or a handle, which errors cannot carry');
    const { kind, data } = value[TRANSFERABLE]();
    this.transferables.push(value);
    const mark = this.output.beginExtension(kind === 'ref' ? EXTENSION.ref : EXTENSION.handle);
    try {
      this.write(data);
    } catch (error) {
      throw Unsendable.at(error, '.data');
    }
    this.output.endExtension(mark);
  }

  private writeKnown(value: object, prototype: object): void {
    const kind = KIND_OF_PROTOTYPE.get(prototype);
    if (kind !== undefined) return this.writeKind(value, kind);
    if (types.isNativeError(value) || value instanceof Error) {
      this.countObjects(ERROR_OBJECTS - 1);
      return writeErrorRecord(this, value);
    }
    const foreignKind = kindFromOtherRealm(value, prototype);
    if (foreignKind === undefined) throw new Unsendable(whyUnsendable(value));
    if (foreignKind === 'plain') return this.writePlain(value as Record<string, unknown>);
    this.writeKind(value, foreignKind);
  }

  private writeKind(value: object, kind: ObjectKind): void {
    switch (kind) {
      case 'date':
        return this.output.date(Date.prototype.getTime.call(value));
      case 'map':
        return this.writeMap(value as Map<unknown, unknown>);
      case 'set':
        return this.writeSet(value as Set<unknown>);
      case 'regExp': {
        const { source, flags } = value as RegExp;
        return this.writeExtension(EXTENSION.regExp, () => {
          this.writeString(source);
          this.writeString(flags);
        });
      }
      case 'url':
        return this.writeExtension(EXTENSION.url, () => this.writeString((value as URL).href));
      default: {
        const bytes = ArrayBuffer.isView(value)
          ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
          : new Uint8Array(value as ArrayBuffer);
        this.output.block(EXTENSION.binary + kind, bytes);
      }
    }
  }

  private writeMap(map: Map<unknown, unknown>): void {
    this.writeExtension(EXTENSION.map, () => {
      const entries = [...Map.prototype.entries.call(map)] as [unknown, unknown][];
      this.mapHeader(entries.length);
      for (const [index, [key, value]] of entries.entries()) {
        this.writePart(key, () => keySegment(index));
        this.writePart(value, () => mapValueSegment(key, index));
      }
    });
  }

  private writeSet(set: Set<unknown>): void {
    this.writeExtension(EXTENSION.set, () => {
      const members = [...(Set.prototype.values.call(set) as Iterable<unknown>)];
      this.arrayHeader(members.length);
      for (const [index, member] of members.entries())
        this.writePart(member, () => memberSegment(index));
    });
  }

  private writePart(value: unknown, segment: () => string): void {
    try {
      this.write(value);
    } catch (error) {
      throw Unsendable.at(error, segment());
    }
  }

  private writeBigint(value: bigint): void {
    if (this.output.bigint64(value)) return;
    const isNegative = value < 0n;
    const digits = (isNegative ? -value : value).toString(16);
    const magnitude = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
    this.countObjects(1);
    this.output.extensionHeader(EXTENSION.bigint, 1 + magnitude.length);
    this.output.byte(isNegative ? 1 : 0);
    this.output.raw(magnitude);
  }
}

const tooMany = (max: number, what: string): Unsendable =>
  new Unsendable(
    `the value would have more than ${max} ${what}; send typed arrays, a ref, or several smaller values`,
  );

// In every Node.js we run on, but not yet in the library types of our target.
const isWellFormed = (text: string): boolean =>
  (text as string & { isWellFormed(): boolean }).isWellFormed();

/** Objects of another realm (`node:vm`) have other prototypes than ours, but the same brands and class names. */
function kindFromOtherRealm(value: object, prototype: object): ObjectKind | 'plain' | undefined {
  const className = classNameOf(value);
  if (
    className === 'Object' &&
    Object.getPrototypeOf(prototype) === null &&
    Object.hasOwn(prototype, 'isPrototypeOf')
  ) {
    return 'plain';
  }
  const isBuiltIn =
    types.isDate(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    types.isRegExp(value) ||
    types.isArrayBuffer(value) ||
    ArrayBuffer.isView(value);
  return isBuiltIn ? KIND_OF_CLASS_NAME.get(className) : undefined;
}
