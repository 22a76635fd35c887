import { InvalidArgumentError } from '@manta/runtime/errors/errors';

const UNITS: Record<string, number> = {
  '': 1,
  b: 1,
  k: 1000,
  kb: 1000,
  kib: 1024,
  m: 1000 ** 2,
  mb: 1000 ** 2,
  mib: 1024 ** 2,
  g: 1000 ** 3,
  gb: 1000 ** 3,
  gib: 1024 ** 3,
};

/** `8GiB`, `512MB` or a number of bytes. */
export function parseBytes(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const factor = UNITS[(match?.[2] ?? '').toLowerCase()];
  if (!match || factor === undefined) {
    throw new InvalidArgumentError(
      `${option}: "${text}" is no amount of memory; write 8GiB, 512MB or bytes`,
    );
  }
  return Math.floor(Number(match[1]) * factor);
}

export function parseAmount(option: string, text: string): number {
  const amount = Number(text);
  if (text.trim() === '' || !Number.isFinite(amount) || amount < 0) {
    throw new InvalidArgumentError(
      `${option}: "${text}" is no amount; write a number from 0 on, for example 4`,
    );
  }
  return amount;
}

/** Of a node: actors may ask for less than one, but a machine has whole devices. */
export function parseDevices(option: string, text: string): number {
  const count = parseAmount(option, text);
  if (!Number.isInteger(count)) {
    throw new InvalidArgumentError(
      `${option}: "${text}" is no number of devices: a node offers whole ones, and actors take shares of them`,
    );
  }
  return count;
}

export function parseInteger(
  option: string,
  text: string,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  const amount = parseAmount(option, text);
  if (!Number.isInteger(amount) || amount > max) {
    throw new InvalidArgumentError(`${option}: "${text}" is no whole number from 0 to ${max}`);
  }
  return amount;
}

/** `2s`, `500ms`, `1m` or a number of milliseconds. */
export function parseDuration(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text.trim());
  if (!match) {
    throw new InvalidArgumentError(
      `${option}: "${text}" is no time; write 2s, 500ms, 1m or milliseconds`,
    );
  }
  const factor = match[2] === 'm' ? 60_000 : match[2] === 's' ? 1000 : 1;
  return Math.round(Number(match[1]) * factor);
}

/** `region=eu,disk=ssd`. */
export function parseLabels(option: string, text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const part of text.split(',').filter((entry) => entry.trim() !== '')) {
    const [key = '', ...rest] = part.split('=');
    if (key.trim() === '' || rest.length === 0) {
      throw new InvalidArgumentError(`${option}: "${part}" is no label; write key=value,key=value`);
    }
    labels[key.trim()] = rest.join('=').trim();
  }
  return labels;
}

/** `{"licence":2}`. */
export function parseResources(option: string, text: string): Record<string, number> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const valid =
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((entry) => typeof entry === 'number' && entry >= 0);
  if (!valid) {
    throw new InvalidArgumentError(
      `${option}: "${text}" is not JSON with a number per resource; write '{"licence":2}'`,
    );
  }
  return value as Record<string, number>;
}

/** JSON where it is JSON, else the text itself: `3`, `true`, `{"a":1}`, `hello`. */
export function parseArgument(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
