import { defineActor } from '@manta/sdk';

class BytesProducer {
  make(sizeBytes: number): Uint8Array {
    return new Uint8Array(sizeBytes).fill(7);
  }
}
export const Producer = defineActor(import.meta, BytesProducer, { cpus: 0 });

class BytesConsumer {
  lengthOf(bytes: Uint8Array): number {
    return bytes.byteLength;
  }
}
export const Consumer = defineActor(import.meta, BytesConsumer, { cpus: 0 });
