import { invalid, RequestError } from './request-error.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0)
    throw new RequestError(400, 'the request has no body; JSON was expected');
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new RequestError(400, 'the request body is not valid UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RequestError(400, `the request body is not valid JSON: ${(error as Error).message}`);
  }
}

type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads the fields of a request body, one by one, and refuses what is wrong with the name of the field. `null` is absent. */
export class Body {
  readonly #fields: JsonObject;
  readonly #path: string;

  constructor(value: unknown, path = '') {
    if (!isObject(value)) {
      const what = path === '' ? 'the request body' : `'${path}'`;
      throw new RequestError(
        400,
        `${what} must be a JSON object`,
        path === '' ? {} : { param: path },
      );
    }
    this.#fields = value;
    this.#path = path;
  }

  /** The full name of a field: `messages[0].role`. */
  param(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`;
  }

  get(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? (this.#fields[name] ?? undefined) : undefined;
  }

  names(): string[] {
    return Object.keys(this.#fields);
  }

  required(name: string): unknown {
    const value = this.get(name);
    if (value === undefined) throw invalid(this.param(name), `'${this.param(name)}' is required`);
    return value;
  }

  string(name: string): string {
    const value = this.required(name);
    if (typeof value !== 'string') throw this.#wrong(name, 'a string');
    return value;
  }

  optionalString(name: string): string | undefined {
    return this.get(name) === undefined ? undefined : this.string(name);
  }

  optionalBoolean(name: string): boolean | undefined {
    const value = this.get(name);
    if (value !== undefined && typeof value !== 'boolean') throw this.#wrong(name, 'true or false');
    return value;
  }

  optionalNumber(name: string, min: number, max: number): number | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || value < min || value > max) {
      throw this.#wrong(name, `a number from ${min} to ${max}`);
    }
    return value;
  }

  optionalInteger(name: string, min: number, max: number): number | undefined {
    const value = this.optionalNumber(name, min, max);
    if (value !== undefined && !Number.isInteger(value)) throw this.#wrong(name, 'a whole number');
    return value;
  }

  optionalObject(name: string): Body | undefined {
    const value = this.get(name);
    return value === undefined ? undefined : new Body(value, this.param(name));
  }

  #wrong(name: string, expected: string): RequestError {
    return invalid(this.param(name), `'${this.param(name)}' must be ${expected}`);
  }
}
