import type { Exchange, FailureFormat } from './exchange.ts';

/** `captures`: the decoded variable parts of the path, in order; an optional part that is absent is undefined. */
export type RouteHandler = (
  exchange: Exchange,
  captures: readonly (string | undefined)[],
) => void | Promise<void>;

export interface Route {
  /** For the counters; never holds what a client sent. */
  readonly name: string;
  /** A path, or a pattern whose groups are the variable parts. */
  readonly path: string | RegExp;
  readonly methods: Readonly<Record<string, RouteHandler>>;
  /** Answers without a key. */
  readonly open?: boolean;
  readonly failureFormat: FailureFormat;
}

export interface RouteMatch {
  route: Route;
  captures: (string | undefined)[];
}

/** Exact paths by one look-up, patterns in order after them. */
export class Router {
  readonly #exact = new Map<string, RouteMatch>();
  readonly #patterns: (Route & { path: RegExp })[] = [];

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      if (typeof route.path === 'string') this.#exact.set(route.path, { route, captures: [] });
      else this.#patterns.push(route as Route & { path: RegExp });
    }
  }

  /** @throws URIError for a path that is not valid percent-encoding. */
  find(path: string): RouteMatch | undefined {
    const exact = this.#exact.get(path);
    if (exact !== undefined) return exact;
    for (const route of this.#patterns) {
      const match = route.path.exec(path);
      if (match === null) continue;
      const captures = match
        .slice(1)
        .map((part: string | undefined) => part && decodeURIComponent(part));
      return { route, captures };
    }
    return undefined;
  }
}
