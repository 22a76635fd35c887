import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '@manta/runtime/testing/wait-for';

/** Files to which actors write what they really do. */
export class Journals {
  readonly #directory = mkdtempSync(join(tmpdir(), 'manta-journal-'));
  #count = 0;

  create(): Journal {
    this.#count += 1;
    return new Journal(join(this.#directory, `${this.#count}.journal`));
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

export class Journal {
  readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  lines(): string[] {
    try {
      return readFileSync(this.file, 'utf8').split('\n').slice(0, -1);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  count(line: string): number {
    return this.lines().filter((other) => other === line).length;
  }
}

/** Resolves when the line is there so many times. */
export function seen(journal: Journal, line: string, times = 1): Promise<unknown> {
  return waitFor(() => journal.count(line) >= times, { describe: `"${line}" ${times} times` });
}

/** What it rejects with; for assertions on more than one property. */
export async function failureOf(
  work: PromiseLike<unknown>,
): Promise<Error & Record<string, unknown>> {
  try {
    await work;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error('It did not fail.');
}
