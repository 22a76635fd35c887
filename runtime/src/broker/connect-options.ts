import { createHash, timingSafeEqual } from 'node:crypto';

/** What a client said in CONNECT. The defaults are those of a client that never sends it. */
export interface ConnectOptions {
  name: string;
  /** Acknowledge every operation with +OK. */
  verbose: boolean;
  /** Check the subjects of published messages. */
  pedantic: boolean;
  /** Deliver the client's own messages to its own subscriptions. */
  echo: boolean;
  headers: boolean;
  /** Answer a request that nobody listens to with status 503; only for clients that take headers. */
  noResponders: boolean;
  authToken: string | undefined;
}

export const BEFORE_CONNECT: ConnectOptions = {
  name: '',
  verbose: true,
  pedantic: false,
  echo: true,
  headers: false,
  noResponders: false,
  authToken: undefined,
};

const NAME_LENGTH = 256;

/** Undefined when the text is no JSON object. */
export function parseConnect(json: string): ConnectOptions | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return undefined;
  const given = fields as Record<string, unknown>;
  const name = given['name'];
  const authToken = given['auth_token'];
  const headers = given['headers'] === true;
  return {
    name: typeof name === 'string' ? name.slice(0, NAME_LENGTH) : '',
    verbose: given['verbose'] === true,
    pedantic: given['pedantic'] === true,
    echo: given['echo'] !== false,
    headers,
    noResponders: headers && given['no_responders'] === true,
    authToken: typeof authToken === 'string' ? authToken : undefined,
  };
}

/** Compares in a time that says nothing about where the tokens differ or how long the right one is. */
export function tokenMatches(expected: string, given: string | undefined): boolean {
  return timingSafeEqual(digest(expected), digest(given ?? '')) && given !== undefined;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}
