import { formatBytes } from '@manta/runtime/state/format-bytes';

export { formatBytes };

/** Rows with headings, columns as wide as their widest cell; numbers to the right. */
export function renderTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const numeric = headings.map(
    (_, column) => rows.length > 0 && rows.every((row) => /^[\d.,/ -]*$/.test(row[column] ?? '')),
  );
  const draw = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        numeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [draw(headings), ...rows.map(draw)].join('\n');
}

/** How long ago, in the largest two units that matter. */
export function formatAge(ageMs: number): string {
  const seconds = Math.max(0, Math.floor(ageMs / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function formatAmount(resource: string, amount: number): string {
  return /bytes$/i.test(resource) ? formatBytes(amount) : String(Number(amount.toFixed(4)));
}

/** A value as a call returned it: text as it is, data as JSON, bytes by their number. */
export function formatValue(value: unknown, json: boolean): string {
  if (!json && typeof value === 'string') return value;
  const text = JSON.stringify(value, jsonValue, json ? undefined : 2);
  return text ?? (json ? 'null' : 'undefined');
}

function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  if (value instanceof Error) return { name: value.name, message: value.message };
  if (ArrayBuffer.isView(value)) return bytesOrNumbers(value);
  return value;
}

function bytesOrNumbers(view: ArrayBufferView): unknown {
  if (view instanceof Uint8Array) return { base64: Buffer.from(view).toString('base64') };
  return view instanceof DataView ? { bytes: view.byteLength } : Array.from(view as Float64Array);
}
