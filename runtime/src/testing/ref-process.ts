import { assert } from '../assert.ts';
import type { Channel, ChannelRecord } from '../channel/channel.ts';
import { ObjectExchange } from '../core/object-exchange.ts';
import type { createIdMint, ObjectId, ProcessId } from '../ids.ts';
import {
  isObjectRef,
  ObjectRef,
  REF_STATE,
  type AnyObjectRef,
  type ExportedRef,
  type RefOwnerRuntime,
} from '../objects/object-ref.ts';
import { Payload } from '../objects/payload.ts';
import { OpenStreams } from '../rpc/open-streams.ts';
import type { PeerConnection } from '../rpc/peer-connection.ts';
import { RECORD } from '../rpc/records.ts';
import type { Transferable } from '../serialization/transferable.ts';
import { createValueCodec, type ValueCodec } from '../serialization/value-codec.ts';
import { TaskWaits } from '../tasks/task-waits.ts';
import type { ProcessAddress } from '../wire/messages.ts';
import type { ManualClock } from './manual-clock.ts';

/** Records of these tests. A call whose argument is a value with refs inside: [PASS, call, value]. */
const PASS = 1_000;
/** A call whose result is one: [TAKE, call, choices]. */
const TAKE = 1_001;

const ignored = (): void => undefined;

/** What is around a process. */
interface Surroundings {
  readonly clock: ManualClock;
  readonly mintId: ReturnType<typeof createIdMint>;
  open(caller: RefProcess, address: ProcessAddress): Promise<PeerConnection>;
}

/** A process as far as refs are concerned: what its code holds is counted, as the garbage collector would find out. */
export class RefProcess implements RefOwnerRuntime {
  readonly waits = new TaskWaits();
  readonly streams = new OpenStreams(() => undefined);
  readonly runtime: RefOwnerRuntime = this;
  readonly address: ProcessAddress;
  readonly exchange: ObjectExchange;
  /** Nothing here is large enough for one. */
  readonly store = { releaseAt: (): void => undefined };
  isAlive = true;
  readonly clock: ManualClock;
  /** What code holds, and how often. */
  readonly held = new Map<AnyObjectRef, number>();
  /** The values with refs inside that refs have here. */
  readonly #boxes = new Map<AnyObjectRef, Payload>();
  /** Values that came when the refs that wanted them had failed. */
  readonly #unclaimed = new Set<Payload>();
  readonly #world: Surroundings;
  readonly #codec: ValueCodec;
  readonly #connections = new Map<ProcessId, Promise<PeerConnection>>();

  constructor(world: Surroundings, processId: ProcessId) {
    this.#world = world;
    this.clock = world.clock;
    const nowhere = { nodeId: undefined, machineId: 'm', socketPath: undefined, tcp: undefined };
    this.address = { processId, ...nowhere };
    this.#codec = createValueCodec({ revive: (_kind, data) => this.#revive(data as ExportedRef) });
    this.exchange = new ObjectExchange(this);
  }

  get id(): ProcessId {
    return this.address.processId;
  }

  // ── what code does ───────────────────────────────────────────────────────────────────────────────────────
  put(): void {
    const ref: AnyObjectRef = new ObjectRef(this);
    ref.resolve(1);
    this.#hold(ref);
  }

  /** A new object with these refs inside. */
  box(refs: readonly AnyObjectRef[]): void {
    const { bytes, transferables } = this.#codec.encode(refs, 'value');
    const ref: AnyObjectRef = new ObjectRef(this);
    const payload = new Payload(bytes, transferables);
    ref.resolve(payload);
    this.#boxes.set(ref, payload);
    this.#hold(ref);
  }

  /** Calls the other process with a value that has these refs inside; they are held until it has answered. */
  pass(to: RefProcess, refs: readonly AnyObjectRef[]): void {
    const { bytes, transferables } = this.#codec.encode(refs, 'value');
    for (const ref of refs) this.#hold(ref);
    const end = (): void => {
      if (!this.isAlive) return;
      this.unpin(transferables);
      for (const ref of refs) this.drop(ref);
    };
    this.#call(to, end, end, (call) => {
      this.exchange.lendAll(transferables, to.id);
      return [PASS, call, bytes];
    });
  }

  /** Calls the other process, which gives away refs that it holds. */
  take(from: RefProcess, choices: readonly number[]): void {
    const arrived = (value: unknown): void => {
      if (this.isAlive) this.#receiveRefs(value, from.id);
    };
    this.#call(from, arrived, ignored, (call) => [TAKE, call, choices]);
  }

  #call(
    to: RefProcess,
    onResult: (value: unknown) => void,
    onLost: () => void,
    recordFor: (call: number) => ChannelRecord,
  ): void {
    this.connect(to.address).then((connection) => {
      if (!this.isAlive) return;
      const noStream = { onStream: ignored, onItem: ignored, onEnd: ignored };
      const call = connection.expect({ onResult, onLost, onFailure: onLost, ...noStream });
      if (!connection.closed) connection.channel.send(recordFor(call));
    }, onLost);
  }

  #receiveRefs(value: unknown, sender: ProcessId): void {
    const refs = this.exchange.receivingFrom(sender, () => this.#codec.decode(value as Uint8Array));
    for (const ref of refs as AnyObjectRef[]) this.#hold(ref);
  }

  /** Each time that the code here holds such a ref, it lets go of it once. */
  #giveAway(choices: readonly number[], receiver: ProcessId): Uint8Array {
    const refs = this.picked(choices);
    const { bytes, transferables } = this.#codec.encode(refs, 'value');
    this.exchange.lendAll(transferables, receiver);
    this.unpin(transferables);
    for (const ref of refs) this.drop(ref);
    return bytes;
  }

  /** Of the refs that code here holds. */
  picked(choices: readonly number[]): AnyObjectRef[] {
    const held = [...this.held.keys()].filter(({ state }) => state !== REF_STATE.failed);
    const refs = choices.flatMap((choice) => held[choice % Math.max(1, held.length)] ?? []);
    return [...new Set(refs)];
  }

  /** Gets the value of the ref, and holds the refs inside. */
  open(ref: AnyObjectRef): void {
    this.#hold(ref);
    ref.addWaiter({
      settled: ({ content }) => {
        if (!this.isAlive) return;
        if (content instanceof Payload) {
          this.#unclaimed.delete(content);
          this.#boxes.set(ref, content);
          for (const inner of this.decode(content) as AnyObjectRef[]) this.#hold(inner);
        }
        this.drop(ref);
      },
    });
  }

  #hold(ref: AnyObjectRef): void {
    this.held.set(ref, (this.held.get(ref) ?? 0) + 1);
  }

  drop(ref: AnyObjectRef): void {
    const count = (this.held.get(ref) ?? 0) - 1;
    if (count > 0) {
      this.held.set(ref, count);
      return;
    }
    this.held.delete(ref);
    this.#collectBorrowed(ref);
  }

  /** Refs inside the values that are here. */
  inside(): AnyObjectRef[] {
    return [...this.#boxes.values()].flatMap(
      ({ transferables }) => transferables as readonly Transferable[] as AnyObjectRef[],
    );
  }

  #collectBorrowed(ref: AnyObjectRef): void {
    if (ref.owner === undefined || this.held.has(ref) || this.inside().includes(ref)) return;
    this.exchange.borrowed.dispose(ref);
    this.#empty(ref);
  }

  /** The user is done with a ref, whatever values here hold it. */
  dispose(ref: AnyObjectRef): void {
    if (ref.owner !== undefined) {
      if (this.exchange.borrowed.dispose(ref)) ref.discard();
    } else if (this.exchange.table.isExported(ref)) {
      this.exchange.bequeath(ref);
      const box = this.#boxes.get(ref);
      if (box !== undefined) this.#boxes.set(this.exchange.table.find(ref.id as ObjectId), box);
      this.#boxes.delete(ref);
    }
    this.drop(ref);
  }

  /** What the garbage collector does with objects of this process that nobody can reach any more. */
  collect(): void {
    for (const { transferables } of this.#unclaimed) this.#giveBack(transferables);
    this.#unclaimed.clear();
    for (const box of [...this.#boxes.keys()]) {
      const isUnreachable = !this.held.has(box) && !this.exchange.table.isExported(box);
      if (box.owner === undefined && isUnreachable) this.#empty(box);
    }
  }

  #empty(box: AnyObjectRef): void {
    const transferables = this.#boxes.get(box)?.transferables ?? [];
    this.#boxes.delete(box);
    this.#giveBack(transferables);
  }

  #giveBack(transferables: readonly Transferable[]): void {
    this.unpin(transferables);
    for (const inner of transferables) this.#collectBorrowed(inner as AnyObjectRef);
  }

  letGo(ref: AnyObjectRef): void {
    assert(!this.held.has(ref), 'a ref that is held was let go');
    this.#empty(ref);
    ref.discard();
  }

  // ── what CoreProcess does ────────────────────────────────────────────────────────────────────────────────
  connect(address: ProcessAddress): Promise<PeerConnection> {
    let opening = this.#connections.get(address.processId);
    if (opening === undefined) {
      opening = this.#world.open(this, address);
      this.#connections.set(address.processId, opening);
      const forget = (): void => void this.#connections.delete(address.processId);
      this.exchange.knowPeer(address);
      opening.then((connection) => {
        connection.onUnclaimed = () => undefined;
        connection.onLost(() => {
          forget();
          this.exchange.peerLost(address.processId);
        });
      }, forget);
    }
    return opening;
  }

  accept(channel: Channel, caller: ProcessAddress): void {
    this.exchange.knowPeer(caller);
    channel.onClose(() => this.exchange.peerLost(channel.peer.processId));
    channel.onRecord((record) => {
      if (record[0] === PASS) {
        this.#receiveRefs(record[2], channel.peer.processId);
        channel.send([RECORD.result, record[1], null]);
      } else if (record[0] === TAKE) {
        const given = this.#giveAway(record[2] as number[], channel.peer.processId);
        channel.send([RECORD.result, record[1], given]);
      } else {
        this.exchange.receive(channel, record);
      }
    });
  }

  receivePayload(received: Uint8Array | unknown[], sender: ProcessId): Payload {
    const bytes = received as Uint8Array;
    const found = this.exchange.receivingFrom(sender, () => this.#codec.decode(bytes));
    const inside = (found as unknown[]).filter(isObjectRef);
    for (const ref of inside) this.exportRef(ref);
    const payload = new Payload(bytes, inside);
    this.#unclaimed.add(payload);
    return payload;
  }

  #revive({ id, owner }: ExportedRef): unknown {
    return this.exchange.revive(id, owner, false);
  }

  exportRef(ref: AnyObjectRef): ExportedRef {
    if (ref.owner === undefined) this.exchange.table.pin(ref);
    else this.exchange.borrowed.pin(ref);
    return { id: ref.id as ObjectId, owner: ref.owner ?? this.address };
  }

  unpin(pins: readonly Transferable[]): void {
    for (const ref of pins.filter(isObjectRef)) {
      if (ref.owner === undefined) this.exchange.table.unpin(ref);
      else this.exchange.borrowed.unpin(ref);
    }
  }

  fetch(ref: AnyObjectRef): void {
    this.exchange.fetch(ref);
  }
  mintObjectId(): ObjectId {
    return this.#world.mintId('object');
  }
  decode(payload: Payload): unknown {
    return this.#codec.decode(payload.bytes);
  }
  refetch(): void {}
  describe(): never {
    throw new Error('Nothing is stored here.');
  }
  decodeStored(): never {
    throw new Error('Nothing is stored here.');
  }
  bringLocal(): Promise<void> {
    return Promise.resolve();
  }
  noteStored(): void {}
  free(): void {}
  callStarted(): void {}
  callFinished(): void {}
  noteHeld(): void {}
}
