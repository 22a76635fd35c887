const LEVEL_COLOURS: Record<string, string> = {
  trace: '\u001B[90m',
  debug: '\u001B[90m',
  info: '\u001B[32m',
  warn: '\u001B[33m',
  error: '\u001B[31m',
  fatal: '\u001B[31m',
};
const RESET = '\u001B[0m';
const DIM = '\u001B[90m';

/** A JSON log line as a person reads it: time, level, name, message, the other fields, and the stack below. */
export function readableLine(json: string): string {
  const fields = parse(json);
  if (fields === undefined) return json;
  const { level, time, name, msg, err, pid: _pid, hostname: _hostname, ...rest } = fields;
  const levelText = String(level);
  const clock = String(time).slice(11, 23);
  const details = Object.entries(rest).map(([key, value]) => `${key}=${inline(value)}`);
  const head = `${DIM}${clock}${RESET} ${LEVEL_COLOURS[levelText] ?? ''}${levelText.padEnd(5)}${RESET} ${String(name)}`;
  const tail = details.length === 0 ? '' : ` ${DIM}${details.join(' ')}${RESET}`;
  return `${head}: ${msg === undefined ? '' : inline(msg)}${tail}\n${stackOf(err)}`;
}

function parse(json: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(json) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

const inline = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value);

function stackOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const { stack, message } = error as { stack?: unknown; message?: unknown };
  const text = typeof stack === 'string' ? stack : String(message);
  return `${text.replaceAll(/^/gm, '    ')}\n`;
}
