import type { Channel, ChannelRecord } from '@manta/runtime/channel/channel';
import type { CoreProcess } from '@manta/runtime/core/core-process';
import {
  ActorUnavailableError,
  InvalidArgumentError,
  ProtocolError,
  TaskCancelledError,
  TaskTimeoutError,
} from '@manta/runtime/errors/errors';
import { callerFrom, type Caller } from '@manta/runtime/rpc/caller-record';
import { NumberTable } from '@manta/runtime/rpc/number-table';
import { RECORD, RETURNED, type CallRecordOptions } from '@manta/runtime/rpc/records';
import { encodeError } from '@manta/runtime/serialization/error-codec';
import type { Moment } from '@manta/runtime/time/turn-clock';
import { LIMITS } from '@manta/runtime/wire/limits';
import { Arrivals } from './arrivals.ts';
import { decodeArguments, takeLent, type ReceivedArguments } from './call-arguments.ts';
import type { CallHost } from './call-host.ts';
import { IncomingCall, type CallListener } from './incoming-call.ts';

/** A port leads to one life of one actor, or to the reason why it does not. */
type Port =
  { instance: CallHost; arrivals: Arrivals; caller: Caller | undefined } | { refusal: Uint8Array };

export interface ActorDirectory {
  find(actorId: string, incarnation: number): CallHost | undefined;
}

/** The callee's half of a channel: turns records into calls on the actors of this process, and pushes back when full. */
export class CallServer implements CallListener {
  readonly #channel: Channel;
  readonly #core: CoreProcess;
  readonly #directory: ActorDirectory;
  readonly #ports = new Map<number, Port>();
  /** Unanswered calls of this channel that were not answered within their own turn. */
  readonly #open = new NumberTable<IncomingCall>();
  /** Came in this turn and not answered yet. */
  #fresh: IncomingCall[] = [];
  /** Of those that have not started: what their arguments take. */
  #waitingBytes = 0;
  /** Open calls that are streams. */
  #streams = 0;
  #isPaused = false;
  /**
   * When all is done that the calls of this turn do without waiting. For many an immediate: before its loop sleeps it
   * looks once more for what has come meanwhile. For a single one that would cost more than it saves.
   */
  readonly #settleLater = (): void => {
    if (this.#fresh.length === 1) process.nextTick(this.#settleFresh);
    else setImmediate(this.#settleFresh);
  };

  constructor(channel: Channel, core: CoreProcess, directory: ActorDirectory) {
    this.#channel = channel;
    this.#core = core;
    this.#directory = directory;
    channel.onRecord((record, segments) => this.#receive(record, segments));
    channel.onClose(() => this.#callerGone());
  }

  #receive(record: ChannelRecord, segments: readonly Uint8Array[]): void {
    switch (record[0]) {
      case RECORD.call:
        this.#call(record, segments);
        return;
      case RECORD.open:
        this.#openPort(record);
        return;
      case RECORD.cancel:
        this.#cancel(record);
        return;
      case RECORD.recall:
        this.#recall(record[1]);
        return;
      case RECORD.taskFunction:
        this.#defineFunction(record);
        return;
      case RECORD.credit:
        this.#openCall(record[1])?.onCredit?.(Number(record[2]));
        return;
      case RECORD.closePort:
        this.#ports.delete(record[1] as number);
        return;
      case RECORD.inspect:
        this.#inspect(record);
        return;
      default:
        if (!this.#core.receiveObjectRecord(this.#channel, record)) {
          throw new ProtocolError(`Channel record of unknown kind ${String(record[0])}.`);
        }
    }
  }

  #cancel([, number, reason, recursive, force]: ChannelRecord): void {
    const call = this.#openCall(number);
    if (call === undefined) return;
    call.cancel(abortReason(call.label, reason));
    if (recursive === true && call.parentNumber !== 0)
      this.#core.cancellation.cancelChildren(call.parentNumber, { force: force === true });
  }

  /** Tasks that have not started go back, the last first: while they leave, those before them may start. */
  #recall(numbers: unknown): void {
    if (!Array.isArray(numbers)) throw new ProtocolError('A malformed recall record.');
    for (const number of numbers.reverse()) this.#openCall(number)?.giveBack(RETURNED.recalled);
  }

  #defineFunction(record: ChannelRecord): void {
    const port = this.#ports.get(record[1] as number);
    if (port !== undefined && 'instance' in port) port.instance.defineFunction?.(record);
  }

  #openPort([, port, actorId, incarnation, from]: ChannelRecord): void {
    if (
      typeof port !== 'number' ||
      typeof actorId !== 'string' ||
      typeof incarnation !== 'number'
    ) {
      throw new ProtocolError('A malformed open record.');
    }
    const caller = callerFrom(from);
    if (caller !== undefined) this.#knowCaller(caller);
    const instance = this.#directory.find(actorId, incarnation);
    if (instance !== undefined) {
      this.#ports.set(port, { instance, arrivals: new Arrivals(instance), caller });
      return;
    }
    const why = `Life ${incarnation} of actor ${actorId} is not, or no longer, in this process.`;
    this.#ports.set(port, { refusal: encodeError(new ActorUnavailableError(why)) });
  }

  #knowCaller({ address }: Caller): void {
    if (address.processId !== this.#channel.peer.processId)
      throw new ProtocolError('A process opened a port in the name of another one.');
    this.#core.objects.knowPeer(address);
  }

  #call(record: ChannelRecord, segments: readonly Uint8Array[]): void {
    const number = record[2] as number;
    const args = record[4];
    if (typeof number !== 'number' || !Array.isArray(args))
      throw new ProtocolError('A malformed call record.');
    const port = this.#ports.get(record[1] as number);
    if (port === undefined) throw new ProtocolError('A call on a port that was not opened.');
    const options = record[5] as CallRecordOptions | null | undefined;
    const firstSegment = record[6];
    const received: ReceivedArguments = { args, options, firstSegment, segments, heapBytes: 0 };
    if ('refusal' in port) {
      this.#refuse(number, port.refusal, received);
      return;
    }
    const { instance, arrivals } = port;
    const method = instance.methodName(record[3] as number);
    if (method === undefined) {
      const why = `${instance.spec.className} has no method number ${String(record[3])}.`;
      this.#refuse(number, encodeError(new InvalidArgumentError(why)), received);
      return;
    }
    let missing: Promise<void> | undefined;
    try {
      missing = decodeArguments(this.#core, this.#channel.peer.processId, received);
    } catch (error) {
      this.#channel.send([RECORD.refused, number, encodeError(error)]);
      return;
    }
    const call = new IncomingCall(instance, this.#channel, number, method, args);
    call.methodNumber = record[3] as number;
    call.caller = port.caller;
    call.waitingBytes = received.heapBytes;
    call.group = instance.groupOf(method, options?.[0]);
    if (options != null) {
      call.idempotencyKey = options[1] ?? undefined;
      call.isRetry = options[4] === true;
      call.maxBufferedItems = options[2] ?? undefined;
    }
    if (missing === undefined && arrivals.isEmpty) instance.receive(call);
    else arrivals.add(call, missing);
    if (!call.answered) this.#track(call);
  }

  /** The call does not run; what its arguments lend is taken all the same, and so given back. */
  #refuse(number: number, encodedError: Uint8Array, received: ReceivedArguments): void {
    this.#channel.send([RECORD.refused, number, encodedError]);
    takeLent(this.#core, this.#channel.peer.processId, received);
  }

  /** Most calls are answered within the turn they came in; only the others are worth a place in the table. */
  #track(call: IncomingCall): void {
    this.#fresh.push(call);
    if (this.#fresh.length === 1) queueMicrotask(this.#settleLater);
  }

  readonly #settleFresh = (): void => {
    const fresh = this.#fresh;
    this.#fresh = [];
    let arrival: Moment | undefined;
    for (const call of fresh) {
      if (call.answered) continue;
      arrival ??= { at: this.#core.clock.now() };
      call.arrival = arrival;
      this.#open.set(call.number, call);
      call.listener = this;
      if (call.running) call.waitingBytes = 0;
      else this.#waitingBytes += call.waitingBytes;
      if (call.onCredit !== undefined) this.#streams += 1;
    }
    this.#pauseWhenFull();
  };

  /** While the caller reads a stream it is read from: what it grants that stream comes over the same channel. */
  #pauseWhenFull(): void {
    if (this.#isPaused || this.#streams > 0) return;
    const isFull =
      this.#open.size > LIMITS.mailboxCalls || this.#waitingBytes > LIMITS.mailboxBytes;
    if (!isFull) return;
    this.#isPaused = true;
    this.#channel.pause();
  }

  #resumeWithRoom(): void {
    const hasRoom =
      this.#open.size < LIMITS.mailboxCalls / 2 && this.#waitingBytes < LIMITS.mailboxBytes / 2;
    if (!hasRoom && this.#streams === 0) return;
    this.#isPaused = false;
    this.#channel.resume();
  }

  #openCall(number: unknown): IncomingCall | undefined {
    if (this.#fresh.length > 0) this.#settleFresh();
    return this.#open.get(number as number);
  }

  started(call: IncomingCall): void {
    this.#waitingBytes -= call.waitingBytes;
    call.waitingBytes = 0;
    if (this.#isPaused) this.#resumeWithRoom();
  }

  streams(): void {
    this.#streams += 1;
    if (this.#isPaused) this.#resumeWithRoom();
  }

  answered(call: IncomingCall): void {
    this.#open.delete(call.number);
    this.#waitingBytes -= call.waitingBytes;
    if (call.onCredit !== undefined) this.#streams -= 1;
    if (this.#isPaused) this.#resumeWithRoom();
  }

  #inspect([, number, target]: ChannelRecord): void {
    const call = this.#openCall(target);
    const state = call === undefined ? 'unknown' : call.running ? 'running' : 'queued';
    const now = this.#core.clock.now();
    const ageMs = Math.max(0, now - (call?.arrival?.at ?? now));
    this.#channel.send([RECORD.result, number, `${state} ${ageMs}`]);
  }

  #callerGone(): void {
    this.#settleFresh();
    this.#ports.clear();
    for (const call of this.#open.values())
      call.cancel(new ActorUnavailableError('The caller is gone.'));
    this.#open.clear();
    this.#core.objects.peerLost(this.#channel.peer.processId);
  }
}

/** What the callee's signal says: `signal.throwIfAborted()` and what listens to it (fetch) throw this. */
function abortReason(label: string, reason: unknown): Error {
  return reason === 'timeout'
    ? new TaskTimeoutError(`The time that its caller gave ${label} is over.`)
    : new TaskCancelledError(`The call of ${label} was cancelled by its caller.`);
}
