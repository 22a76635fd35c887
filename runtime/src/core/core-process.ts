import type { Channel, ChannelPeer, ChannelRecord } from '../channel/channel.ts';
import { openChannel } from '../channel/open-channel.ts';
import type { MantaError } from '../errors/errors.ts';
import { ActorNotFoundError, ClusterUnavailableError, ProtocolError } from '../errors/errors.ts';
import { ERROR_TABLE } from '../errors/codes.ts';
import type { ActorId, ClusterId, MintId, NodeId, ObjectId, ProcessId } from '../ids.ts';
import type { AnyObjectRef, RefOwnerRuntime } from '../objects/object-ref.ts';
import { isObjectRef } from '../objects/object-ref.ts';
import { Payload, rawPayload, rawValue } from '../objects/payload.ts';
import type { ActorCaller } from '../rpc/actor-caller.ts';
import type { CallerCore } from '../rpc/caller-core.ts';
import { PeerConnection } from '../rpc/peer-connection.ts';
import { decodeControl } from '../serialization/control-codec.ts';
import type { Transferable, TransferKind } from '../serialization/transferable.ts';
import { createValueCodec, type ValueCodec } from '../serialization/value-codec.ts';
import { holdsTransferables } from '../serialization/value-format.ts';
import type { Clock } from '../time/clock.ts';
import type { Transport } from '../transport/transport.ts';
import { TaskSubmitter } from '../tasks/task-submitter.ts';
import { TaskWaits } from '../tasks/task-waits.ts';
import { Acknowledgement, ActorUpdates, type ProcessAddress } from '../wire/messages.ts';
import { subjectsOf } from '../wire/subjects.ts';
import { ActorRegistry } from './actor-registry.ts';
import { errorFromReply, HeadClient } from './head-client.ts';
import { ObjectExchange } from './object-exchange.ts';

export interface CoreOptions {
  clusterId: ClusterId;
  processId: ProcessId;
  role: ChannelPeer['role'];
  machineId: string;
  nodeId?: NodeId | undefined;
  token: string;
  clock: Clock;
  mintId: MintId;
  /** Connects to the control plane; called once, when it is first needed. */
  connectTransport(): Promise<Transport>;
  /** How others reach the objects of this process. */
  address: ProcessAddress;
  /** Makes a handle from what the codec received. */
  reviveHandle(data: unknown): unknown;
  warn(message: string, error: unknown): void;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** While work is pending, one timer keeps the process alive. */
const KEEP_ALIVE_MS = 2 ** 30;

/**
 * What every process that calls actors or owns objects has (Ray calls it the core worker): connections to other
 * processes, the actors it holds handles of, the objects it owns and borrows, and the way to the head.
 */
export class CoreProcess implements CallerCore, RefOwnerRuntime {
  readonly options: CoreOptions;
  readonly codec: ValueCodec;
  readonly clock: Clock;
  readonly actors: ActorRegistry;
  readonly objects: ObjectExchange;
  readonly tasks: TaskSubmitter;
  readonly waits = new TaskWaits();
  readonly #connections = new Map<ProcessId, Promise<PeerConnection>>();
  #control: Promise<{ transport: Transport; head: HeadClient }> | undefined;
  readonly #handleCounts = new Map<ActorCaller, number>();
  readonly #keptPayloads = new FinalizationRegistry<readonly Transferable[]>((pins) =>
    this.unpin(pins),
  );
  #pendingWork = 0;
  #keepAlive: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: CoreOptions) {
    this.options = options;
    this.clock = options.clock;
    this.codec = createValueCodec({ revive: (kind, data) => this.#revive(kind, data) });
    this.actors = new ActorRegistry(this);
    this.objects = new ObjectExchange(this);
    this.tasks = new TaskSubmitter(this);
  }

  get runtime(): RefOwnerRuntime {
    return this;
  }
  get processId(): ProcessId {
    return this.options.processId;
  }
  get address(): ProcessAddress {
    return this.options.address;
  }

  // ── control plane ────────────────────────────────────────────────────────────────────────────────────────
  async transport(): Promise<Transport> {
    return (await this.#controlPlane()).transport;
  }

  async head(): Promise<HeadClient> {
    return (await this.#controlPlane()).head;
  }

  #controlPlane(): Promise<{ transport: Transport; head: HeadClient }> {
    this.#control ??= this.#connectControlPlane();
    return this.#control;
  }

  async #connectControlPlane(): Promise<{ transport: Transport; head: HeadClient }> {
    const transport = await this.options.connectTransport();
    const subjects = subjectsOf(this.options.clusterId);
    transport.subscribe(subjects.processUpdates(this.processId), (payload) => {
      for (const update of decodeControl(ActorUpdates, payload).updates)
        this.actors.applyUpdate(update);
    });
    transport.subscribe(subjects.headStarted, () => this.actors.holdAllAgain());
    transport.onStatus((status) => {
      if (status === 'connected') this.actors.holdAllAgain();
    });
    return { transport, head: new HeadClient(transport, this.options.clusterId, this.clock) };
  }

  // ── data plane ───────────────────────────────────────────────────────────────────────────────────────────
  connect(address: ProcessAddress): Promise<PeerConnection> {
    const known = this.#connections.get(address.processId);
    if (known !== undefined) return known;
    const opening = this.#open(address);
    this.#connections.set(address.processId, opening);
    const forget = (): void => {
      if (this.#connections.get(address.processId) === opening)
        this.#connections.delete(address.processId);
    };
    opening.then((connection) => connection.onLost(forget), forget);
    return opening;
  }

  async #open(address: ProcessAddress): Promise<PeerConnection> {
    const { role, machineId, token, clusterId } = this.options;
    const channel = await openChannel(address, {
      self: { processId: this.processId, role },
      machineId,
      token,
      timeoutMs: CONNECT_TIMEOUT_MS,
      onRefused: (reason) => this.warn('a channel was refused', reason),
      nats: {
        transport: () => this.transport(),
        subject: subjectsOf(clusterId).processChannel(address.processId),
      },
    });
    channel.unref();
    return new PeerConnection(channel);
  }

  /** Takes the records of an incoming channel that are about objects; false: not one of them. */
  receiveObjectRecord(channel: Channel, record: ChannelRecord): boolean {
    return this.objects.receive(channel, record);
  }

  // ── values ───────────────────────────────────────────────────────────────────────────────────────────────
  #revive(kind: TransferKind, data: unknown): unknown {
    if (kind === 'handle') return this.options.reviveHandle(data);
    const { id, owner } = (data ?? {}) as { id: ObjectId; owner: ProcessAddress };
    if (typeof id !== 'string' || typeof owner?.processId !== 'string')
      throw new ProtocolError('A malformed ref.');
    return this.objects.revive(id, owner);
  }

  /** Refs inside a received value are borrowed at once, and as long as it lives. */
  receivePayload(received: Uint8Array | unknown[], sender: ProcessId): Payload {
    if (Array.isArray(received)) return rawPayloadOf(received);
    const bytes = received;
    if (!holdsTransferables(bytes)) return new Payload(bytes);
    const found: Transferable[] = [];
    const collector = createValueCodec({
      revive: (kind, data) => {
        const revived = this.#revive(kind, data) as Transferable;
        found.push(revived);
        return revived;
      },
    });
    this.objects.receivingFrom(sender, () => collector.decode(bytes));
    return new Payload(bytes, found);
  }

  /** A value kept here (put): the refs inside stay exported until it is collected. */
  keepPayload(bytes: Uint8Array, transferables: readonly Transferable[]): Payload {
    const payload = new Payload(bytes, transferables);
    if (transferables.length > 0) this.#keptPayloads.register(payload, transferables);
    return payload;
  }

  decode(payload: Payload): unknown {
    return payload.form === 'value' ? this.codec.decode(payload.bytes) : rawValue(payload);
  }

  exportRef(ref: AnyObjectRef): { id: ObjectId; owner: ProcessAddress } {
    if (ref.owner !== undefined) return { id: ref.id as ObjectId, owner: ref.owner };
    this.objects.table.pin(ref);
    return { id: ref.id as ObjectId, owner: this.address };
  }

  lend(pins: readonly Transferable[], borrower: ProcessId): void {
    this.objects.lendAll(pins, borrower);
  }

  unpin(pins: readonly Transferable[]): void {
    for (const pin of pins)
      if (isObjectRef(pin) && pin.owner === undefined) this.objects.table.unpin(pin);
  }

  mintActorId(): ActorId {
    return this.options.mintId('actor');
  }

  async endLease(actorId: ActorId, returned: boolean): Promise<void> {
    const head = await this.head();
    await head.request('actor.kill', { actorId, returned }, Acknowledgement);
  }

  mintObjectId(): ObjectId {
    return this.options.mintId('object');
  }

  fetch(ref: AnyObjectRef): void {
    this.objects.fetch(ref);
  }

  dispose(ref: AnyObjectRef): void {
    this.objects.table.free(ref);
    ref.discard();
  }

  // ── handles ──────────────────────────────────────────────────────────────────────────────────────────────
  handleMade(caller: ActorCaller): void {
    this.#handleCounts.set(caller, (this.#handleCounts.get(caller) ?? 0) + 1);
  }

  handleDropped(caller: ActorCaller): void {
    const count = (this.#handleCounts.get(caller) ?? 1) - 1;
    if (count > 0) {
      this.#handleCounts.set(caller, count);
      return;
    }
    this.#handleCounts.delete(caller);
    if (!this.#closed) this.actors.drop(caller);
  }

  /** False once the last handle of this caller is gone. */
  hasHandles(caller: ActorCaller): boolean {
    return this.#handleCounts.has(caller);
  }

  // ── for the parts ────────────────────────────────────────────────────────────────────────────────────────
  refresh(actorId: ActorId): void {
    this.actors.refresh(actorId);
  }

  errorFromReply(error: { name: string; message: string }): MantaError {
    return errorFromReply(error);
  }

  unknownActor(actorId: ActorId, className: string): MantaError {
    return new ActorNotFoundError(
      `The head does not know actor ${actorId} (${className}) any more. ${ERROR_TABLE.ActorNotFoundError.remedy}`,
    );
  }

  warn(message: string, error: unknown): void {
    if (!this.#closed) this.options.warn(message, error);
  }

  callStarted(): void {
    this.#pendingWork += 1;
    if (this.#pendingWork === 1) {
      this.#keepAlive ??= setInterval(() => undefined, KEEP_ALIVE_MS);
      this.#keepAlive.ref();
    }
  }

  callFinished(): void {
    this.#pendingWork -= 1;
    if (this.#pendingWork === 0) this.#keepAlive?.unref();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#keepAlive);
    this.tasks.close(new ClusterUnavailableError('This process has left the cluster (shutdown).'));
    this.actors.closeAll();
    const connections = await Promise.allSettled(this.#connections.values());
    for (const result of connections)
      if (result.status === 'fulfilled') result.value.channel.close();
    if (this.#control !== undefined) {
      const control = await this.#control.catch(() => undefined);
      await control?.transport.close();
    }
  }
}

function rawPayloadOf(list: unknown[]): Payload {
  const payload = rawPayload(list);
  if (payload === undefined)
    throw new ProtocolError('A value that is neither a primitive nor encoded.');
  return payload;
}
