import type { Channel, ChannelRecord } from '../channel/channel.ts';
import { ActorNotFoundError, ProtocolError, type MantaError } from '../errors/errors.ts';
import { shutDownError } from '../errors/shut-down.ts';
import { ERROR_TABLE } from '../errors/codes.ts';
import type { ActorId, BlobId, JobId, ObjectId, ProcessId } from '../ids.ts';
import { Lineage, lineageLimitBytes } from '../lineage/lineage.ts';
import { DurableRef } from '../objects/durable-ref.ts';
import {
  isObjectRef,
  type AnyObjectRef,
  type ExportedRef,
  type RefOwnerRuntime,
} from '../objects/object-ref.ts';
import type { Payload } from '../objects/payload.ts';
import type { StoredRecord, StoredValue } from '../objects/stored-value.ts';
import type { ActorCaller } from '../rpc/actor-caller.ts';
import type { CallerCore } from '../rpc/caller-core.ts';
import { callerRecord } from '../rpc/caller-record.ts';
import { OpenStreams } from '../rpc/open-streams.ts';
import type { PeerConnection } from '../rpc/peer-connection.ts';
import { PeerConnections } from '../rpc/peer-connections.ts';
import { RECORD } from '../rpc/records.ts';
import { decodeControl } from '../serialization/control-codec.ts';
import type { Transferable, TransferKind } from '../serialization/transferable.ts';
import {
  createValueCodec,
  type EncodedParts,
  type ValueCodec,
} from '../serialization/value-codec.ts';
import type { Clock } from '../time/clock.ts';
import { TurnClock } from '../time/turn-clock.ts';
import type { Transport } from '../transport/transport.ts';
import { Inquiries } from '../state/inquiries.ts';
import { TaskSubmitter } from '../tasks/task-submitter.ts';
import { TaskWaits } from '../tasks/task-waits.ts';
import type { TaskCounts } from '../wire/job-messages.ts';
import { Acknowledgement, ActorUpdates, type ProcessAddress } from '../wire/messages.ts';
import { subjectsOf } from '../wire/subjects.ts';
import { ActorRegistry } from './actor-registry.ts';
import { Cancellation } from './cancellation.ts';
import type { CoreOptions } from './core-options.ts';
import { firstConnection } from './first-connection.ts';
import { collectGarbage } from './garbage.ts';
import { HandleCounts } from './handle-counts.ts';
import { errorFromReply, HeadClient } from './head-client.ts';
import { NodeStore } from './node-store.ts';
import { NodeDeaths } from './node-deaths.ts';
import { ObjectExchange } from './object-exchange.ts';
import { ObjectValues } from './object-values.ts';
import { ArgumentRef, OwnedObjects } from './owned-objects.ts';
import { PendingWork } from './pending-work.ts';
import { activeShareOfThread, QuietGarbage } from './quiet-garbage.ts';

/**
 * What every process that calls actors or owns objects has (Ray calls it the core worker): connections to other
 * processes, the actors it holds handles of, the objects it owns and borrows, and the way to the head.
 */
export class CoreProcess implements CallerCore, RefOwnerRuntime {
  readonly options: CoreOptions;
  readonly codec: ValueCodec;
  readonly clock: Clock;
  readonly turnClock: TurnClock;
  readonly actors: ActorRegistry;
  readonly objects: ObjectExchange;
  readonly store: NodeStore;
  readonly values: ObjectValues;
  readonly owned: OwnedObjects;
  readonly lineage: Lineage;
  readonly tasks: TaskSubmitter;
  readonly waits = new TaskWaits();
  readonly streams = new OpenStreams(() => this.noteHeld());
  readonly inquiries: Inquiries = new Inquiries(this);
  readonly cancellation = new Cancellation(this);
  parentNow: CallerCore['parentNow'] = undefined;
  readonly #connections: PeerConnections;
  #control: Promise<{ transport: Transport; head: HeadClient }> | undefined;
  readonly #handles = new HandleCounts();
  readonly #pendingWork = new PendingWork();
  readonly #nodeDeaths: NodeDeaths;
  readonly #quietGarbage: QuietGarbage;
  #isLeaving = false;
  #closed = false;

  constructor(options: CoreOptions) {
    this.options = options;
    this.clock = options.clock;
    this.turnClock = new TurnClock(this.clock);
    this.#quietGarbage = new QuietGarbage({
      clock: options.clock,
      collectGarbage,
      held: () =>
        this.objects.borrowed.size + this.#handles.size + this.streams.size + this.store.heldBytes,
      activeShare: activeShareOfThread(),
    });
    this.#connections = this.#createConnections(options);
    this.#nodeDeaths = new NodeDeaths(this, (nodeId) => this.#connections.nodeDied(nodeId));
    this.codec = createValueCodec({
      revive: (kind, data) => this.#revive(kind, data),
      abandon: (transferables) => this.unpin(transferables),
    });
    this.actors = new ActorRegistry(this);
    this.objects = new ObjectExchange(this);
    this.store = this.#createStore(options);
    this.values = new ObjectValues(this, this.store, this.objects);
    this.owned = new OwnedObjects(this);
    this.lineage = new Lineage(this, options.lineageBytes ?? lineageLimitBytes(process.env));
    this.objects.onLost = (ref, reason) => this.lineage.lost(ref, reason);
    this.tasks = new TaskSubmitter(this);
  }

  #createStore({ processId, clock, mintId, agent, storePlace }: CoreOptions): NodeStore {
    const store = new NodeStore({
      processId,
      clock,
      mintBlobId: () => mintId('blob'),
      connect: (address) => this.connect(address),
      collectGarbage,
      noteHeld: () => this.noteHeld(),
      callStarted: () => this.callStarted(),
      callFinished: () => this.callFinished(),
      warn: (message, error) => this.warn(message, error),
    });
    store.useAgent(agent, storePlace);
    return store;
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
    if (this.#closed) return Promise.reject(shutDownError('the head'));
    return (this.#control ??= this.#connectControlPlane().catch((error: unknown) => {
      // Who asks next tries anew.
      this.#control = undefined;
      throw error;
    }));
  }

  async #connectControlPlane(): Promise<{ transport: Transport; head: HeadClient }> {
    const transport = await firstConnection(this.options, () => this.#closed);
    const subjects = subjectsOf(this.options.clusterId);
    transport.subscribe(subjects.processUpdates(this.processId), (payload) => {
      if (this.#isLeaving) return;
      const { updates, host } = decodeControl(ActorUpdates, payload);
      if (host !== undefined) this.#connectAhead(host);
      for (const update of updates) this.actors.applyUpdate(update);
    });
    transport.subscribe(subjects.headStarted, () => {
      this.actors.holdAllAgain();
      this.tasks.reportAgain();
    });
    transport.onStatus((status) => {
      if (status === 'connected') this.actors.holdAllAgain();
    });
    return { transport, head: new HeadClient(transport, this.options.clusterId, this.clock) };
  }

  /** While the actor loads, so that its first call finds the channel open. A failure is for that call to meet. */
  #connectAhead(address: ProcessAddress): void {
    if (!this.#closed) this.connect(address).catch(() => undefined);
  }

  // ── data plane ───────────────────────────────────────────────────────────────────────────────────────────
  connect(address: ProcessAddress): Promise<PeerConnection> {
    if (!this.#connections.has(address.processId)) {
      this.objects.knowPeer(address);
      // Whoever waits for a process on another node must hear when that node falls silent.
      if (address.nodeId !== undefined && address.nodeId !== this.store.agent?.nodeId)
        this.watchNodes();
    }
    return this.#connections.connect(address);
  }

  #createConnections({ role, processId, machineId, token, clusterId, encrypted }: CoreOptions) {
    return new PeerConnections({
      self: { processId, role },
      clusterId,
      machineId,
      token,
      encrypted,
      transport: () => this.transport(),
      onRefused: (reason) => this.warn('a channel was refused', reason),
      onConnected: (connection, address) => {
        connection.callerRecord = () => callerRecord({ address: this.address, takesStored: true });
        connection.onBegun = (actorId, life) => this.actors.begun(actorId, life, address);
        connection.onUnclaimed = (value) => this.values.giveBack(value, address.processId);
      },
      onLost: ({ processId: peerId }) => this.objects.peerLost(peerId),
    });
  }

  /** Takes the records of an incoming channel that are about objects; false: not one of them. */
  receiveObjectRecord(channel: Channel, record: ChannelRecord): boolean {
    if (record[0] !== RECORD.inquire)
      return this.objects.receive(channel, record) || this.cancellation.receive(record);
    this.inquiries.receive(channel, record);
    return true;
  }

  // ── values ───────────────────────────────────────────────────────────────────────────────────────────────
  #revive(kind: TransferKind, data: unknown): unknown {
    if (kind === 'handle') return this.options.reviveHandle(data);
    const { id, owner, isDurable } = (data ?? {}) as ExportedRef;
    if (typeof id !== 'string' || typeof owner?.processId !== 'string')
      throw new ProtocolError('A malformed ref.');
    return this.objects.revive(id, owner, isDurable === true);
  }

  receivePayload(received: Uint8Array | unknown[], sender: ProcessId): Payload | StoredValue {
    return this.values.receive(received, sender);
  }

  collect(bytes: Uint8Array, sender: ProcessId): Transferable[] {
    const found: Transferable[] = [];
    const collector = createValueCodec({
      revive: (kind, data) => {
        const revived = this.#revive(kind, data) as Transferable;
        found.push(revived);
        return revived;
      },
    });
    this.objects.receivingFrom(sender, () => collector.decode(bytes));
    return found;
  }

  decode(payload: Payload): unknown {
    return this.values.decode(payload);
  }

  noteStored(ref: AnyObjectRef, stored: StoredValue): void {
    this.objects.noteStored(ref, stored);
    this.lineage.placed(ref, stored);
  }

  forgetStored(blobId: BlobId): void {
    this.objects.forgetStored(blobId);
  }

  decodeStored(stored: StoredValue): { value: unknown } | undefined {
    return this.values.decodeStored(stored);
  }

  bringLocal(ref: AnyObjectRef): Promise<void> {
    if (this.#closed) return Promise.reject(shutDownError(`the value of ${ref.id}`));
    return this.owned.bringLocal(ref);
  }

  describe(stored: StoredValue): StoredRecord {
    return this.values.describe(stored);
  }

  keepArgument(encoded: EncodedParts): AnyObjectRef {
    return this.owned.keep(new ArgumentRef(this), this.values.keepEncoded(encoded));
  }

  exportRef(ref: AnyObjectRef): ExportedRef {
    const { owner } = ref;
    if (owner === undefined) this.objects.table.pin(ref);
    else this.objects.borrowed.pin(ref);
    const exported = { id: ref.id as ObjectId, owner: owner ?? this.address };
    return ref instanceof DurableRef ? { ...exported, isDurable: true } : exported;
  }

  lend(pins: readonly Transferable[], borrower: ProcessId): void {
    this.objects.lendAll(pins, borrower);
  }

  unpin(pins: readonly Transferable[]): void {
    for (const pin of pins) {
      if (pin instanceof ArgumentRef) {
        if (!pin.isKept) this.owned.drop(pin);
      } else if (isObjectRef(pin)) {
        if (pin.owner === undefined) this.objects.table.unpin(pin);
        else this.objects.borrowed.unpin(pin);
      }
    }
  }

  mintActorId(): ActorId {
    return this.options.mintId('actor');
  }

  async endLease(actorId: ActorId, returned: boolean): Promise<void> {
    const head = await this.head();
    await head.request('actor.kill', { actorId, returned }, Acknowledgement);
  }

  /** A report that is lost is made good by the next one. */
  reportProgress(jobId: JobId, tasks: TaskCounts[]): void {
    const message = { jobId, processId: this.processId, tasks };
    this.head()
      .then((head) => head.request('job.progress', message, Acknowledgement))
      .catch((error: unknown) => this.warn('the progress of tasks could not be reported', error));
  }

  mintObjectId(): ObjectId {
    return this.options.mintId('object');
  }

  fetch(ref: AnyObjectRef): void {
    this.objects.fetch(ref);
  }

  refetch(ref: AnyObjectRef): void {
    this.objects.refetch(ref);
  }

  /** This process owns values on other nodes, or speaks to processes there. */
  watchNodes(): void {
    this.#nodeDeaths.watch();
  }

  dispose(ref: AnyObjectRef): void {
    this.owned.dispose(ref);
  }

  letGo(ref: AnyObjectRef): void {
    this.owned.drop(ref);
  }

  free(ref: AnyObjectRef): void {
    this.owned.free(ref);
  }

  // ── handles ──────────────────────────────────────────────────────────────────────────────────────────────
  handleMade(caller: ActorCaller): void {
    this.#handles.made(caller);
    this.noteHeld();
  }

  handleDropped(caller: ActorCaller): void {
    if (this.#handles.dropped(caller) && !this.#closed) this.actors.drop(caller);
  }

  /** False once the last handle of this caller is gone. */
  hasHandles(caller: ActorCaller): boolean {
    return this.#handles.has(caller);
  }

  noteHeld(): void {
    this.#quietGarbage.note();
  }

  // ── for the parts ────────────────────────────────────────────────────────────────────────────────────────
  readonly errorFromReply = errorFromReply;

  unknownActor(actorId: ActorId, className: string): MantaError {
    return new ActorNotFoundError(
      `The head does not know actor ${actorId} (${className}) any more. ${ERROR_TABLE.ActorNotFoundError.remedy}`,
    );
  }

  warn(message: string, error: unknown): void {
    if (!this.#closed) this.options.warn(message, error);
  }

  callStarted(): void {
    this.#pendingWork.started();
  }

  callFinished(): void {
    this.#pendingWork.finished();
  }

  /** What becomes of this job's actors from now on is this process's own doing, and no news. */
  leave(): void {
    this.#isLeaving = true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pendingWork.close();
    this.tasks.close(shutDownError('the worker of a task'));
    this.actors.closeAll();
    this.objects.close();
    this.store.flushReleases();
    await this.#connections.close();
    this.store.close();
    if (this.#control !== undefined) {
      const control = await this.#control.catch(() => undefined);
      await control?.transport.close();
    }
  }
}
