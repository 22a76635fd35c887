const LINE_BREAK = 0x0a;

/**
 * The complete lines at the start of `bytes` and how many bytes they take. `all`: what follows the last line break
 * counts as a line too.
 */
export function takeLines(bytes: Buffer, all: boolean): { lines: string[]; bytes: number } {
  const end = bytes.lastIndexOf(LINE_BREAK) + 1;
  const taken = all ? bytes.length : end;
  if (taken === 0) return { lines: [], bytes: 0 };
  const text = bytes.toString('utf8', 0, taken);
  const lines = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  if (lines.at(-1) === '') lines.pop();
  return { lines, bytes: taken };
}
