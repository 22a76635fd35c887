import type { NativeMemory } from './native-memory.ts';
import { ForeignPinFile } from './pin-file.ts';
import type { SharedWords } from './shared-words.ts';
import { namesIn } from './store-files.ts';
import { CONTROL, SEGMENT_PAGES_MAX } from './store-layout.ts';

export const slotKey = (segmentId: number, page: number): number =>
  segmentId * SEGMENT_PAGES_MAX + page;

/** Looks through the pin files of all processes of the store. */
export class PinScan {
  private readonly directory: string;
  private readonly memory: NativeMemory | undefined;
  private readonly control: SharedWords;
  private files = new Map<string, ForeignPinFile>();
  private seenChanges: number | undefined;

  constructor(directory: string, memory: NativeMemory | undefined, control: SharedWords) {
    this.directory = directory;
    this.memory = memory;
    this.control = control;
  }

  /** Which of these slots anyone pins. What was pinned before the call and still is, is found. */
  pinned(slotKeys: ReadonlySet<number>): Set<number> {
    const found = new Set<number>();
    if (slotKeys.size === 0) return found;
    // Read before the listing: who comes after it changes the number again.
    const changes = this.control.load(CONTROL.pinFileChanges);
    if (changes !== this.seenChanges) this.list();
    this.seenChanges = changes;
    for (const file of this.files.values())
      file.forEachPin((segmentId, page) => {
        const key = slotKey(segmentId, page);
        if (slotKeys.has(key)) found.add(key);
      });
    return found;
  }

  /** Pages of all segment files. */
  accountedPages(): number {
    this.list();
    let pages = 0;
    for (const file of this.files.values()) pages += file.accountPages;
    return pages;
  }

  close(): void {
    for (const file of this.files.values()) file.close();
    this.files.clear();
  }

  private list(): void {
    const before = this.files;
    this.files = new Map();
    for (const name of namesIn(this.directory)) {
      if (!name.startsWith('pins-')) continue;
      const file =
        before.get(name) ?? ForeignPinFile.open(`${this.directory}/${name}`, this.memory);
      before.delete(name);
      if (file !== undefined) this.files.set(name, file);
    }
    for (const file of before.values()) file.close();
  }
}
