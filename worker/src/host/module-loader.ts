import { AsyncLocalStorage } from 'node:async_hooks';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ActorConstructor, TaskBody } from '@manta/runtime/actor/host-context';
import { RuntimeEnvSetupError } from '@manta/runtime/errors/errors';
import type { Clock } from '@manta/runtime/time/clock';
import type { ClassReference } from '@manta/runtime/wire/messages';

const SETUP_TIMEOUT_MS = 300_000;
const requireModule = createRequire(import.meta.url);
/** What `require` says of ES modules that only `import` can load; nothing of them has run then. */
const ONLY_IMPORTED = new Set([
  'ERR_REQUIRE_ASYNC_MODULE',
  'ERR_REQUIRE_CYCLE_MODULE',
  'ERR_REQUIRE_ESM',
  'ERR_REQUIRE_ESM_RACE_CONDITION',
]);
const TYPESCRIPT = new Set(['.ts', '.mts', '.cts', '.tsx', '.jsx']);

/** What runs when a module is evaluated. */
interface TopLevel {
  url: string;
  reachedDriverPart(): void;
}

export interface ModuleLoaderOptions {
  /** For what is compiled from TypeScript. */
  cacheDirectory: string;
  /** Nobody else waits in this event loop: the first module is loaded without leaving it, a millisecond sooner. */
  loadsAtOnce: boolean;
  clock: Clock;
}

/**
 * Loads the modules that define actor classes and tasks. A module may be a whole program: its class is taken as soon as it is
 * defined and the module either has finished or has reached `init()`, which never settles in a host, so the driver's
 * part does not run.
 */
export class ModuleLoader {
  readonly #options: ModuleLoaderOptions;
  /** Actor classes and task functions; the keys of the latter start with `task `. */
  readonly #definitions = new Map<string, ActorConstructor | TaskBody>();
  readonly #loads = new Map<string, Promise<void>>();
  /** Follows what runs at the top level of each module, over its awaits: to know whose driver part was reached. */
  readonly #topLevels = new AsyncLocalStorage<TopLevel>();
  /** Following takes milliseconds at first, so the first module is known by not being followed: most load no other. */
  #first: TopLevel | undefined;
  #unfinishedLoads = 0;

  constructor(options: ModuleLoaderOptions) {
    this.#options = options;
  }

  define(moduleUrl: string, exportKey: string, code: ActorConstructor | TaskBody): void {
    this.#definitions.set(definitionKey(moduleUrl, exportKey), code);
  }

  reachedDriverPart(): void {
    (this.#topLevels.getStore() ?? this.#first)?.reachedDriverPart();
  }

  /** @throws RuntimeEnvSetupError when the module cannot be loaded in time or does not define the class. */
  async load(
    reference: ClassReference,
    timeoutMs: number = SETUP_TIMEOUT_MS,
  ): Promise<ActorConstructor> {
    await this.#loadUnlessKnown(reference, timeoutMs);
    return this.#find(reference, `actor ${reference.exportKey}`, 'defineActor') as ActorConstructor;
  }

  /** It was loaded for practice, and has no driver part: the next module is the first one again. */
  forget(moduleUrl: string): void {
    const ofModule = definitionKey(moduleUrl, '');
    for (const key of this.#definitions.keys())
      if (key.startsWith(ofModule)) this.#definitions.delete(key);
    this.#loads.delete(moduleUrl);
    if (this.#first?.url === moduleUrl) this.#first = undefined;
  }

  /** @throws RuntimeEnvSetupError when the module cannot be loaded in time or does not define the function. */
  async loadTask(
    reference: ClassReference,
    timeoutMs: number = SETUP_TIMEOUT_MS,
  ): Promise<TaskBody> {
    await this.#loadUnlessKnown(reference, timeoutMs);
    return this.#find(reference, reference.exportKey, 'defineTask') as TaskBody;
  }

  async #loadUnlessKnown(
    { moduleUrl, exportKey }: ClassReference,
    timeoutMs: number,
  ): Promise<void> {
    // Another module may have brought it along; one that was loaded itself must have loaded well.
    const isKnown = this.#definitions.has(definitionKey(moduleUrl, exportKey));
    if (!isKnown || this.#loads.has(moduleUrl)) await this.#loadModule(moduleUrl, timeoutMs);
  }

  #find(
    { moduleUrl, exportKey }: ClassReference,
    what: string,
    definer: string,
  ): ActorConstructor | TaskBody {
    const definition = this.#definitions.get(definitionKey(moduleUrl, exportKey));
    if (definition !== undefined) return definition;
    throw new RuntimeEnvSetupError(
      `Module ${moduleUrl} was loaded but does not define ${what}. ` +
        `Call ${definer}(import.meta, …) at the top level of the module, before \`await init()\` and all else that it waits for.`,
    );
  }

  #loadModule(moduleUrl: string, timeoutMs: number): Promise<void> {
    let load = this.#loads.get(moduleUrl);
    if (load === undefined) {
      load = this.#import(moduleUrl, timeoutMs);
      this.#loads.set(moduleUrl, load);
    }
    return load;
  }

  async #import(moduleUrl: string, timeoutMs: number): Promise<void> {
    try {
      const url = isTypeScript(moduleUrl) ? await this.#compiled(moduleUrl) : moduleUrl;
      if (!this.#loadAtOnce(url)) await this.#importInTime(url, timeoutMs);
    } catch (error) {
      throw new RuntimeEnvSetupError(
        `Module ${moduleUrl} could not be loaded on this node: ${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      );
    }
  }

  /** False: it has to be imported, and nothing of it has run. */
  #loadAtOnce(url: string): boolean {
    // `require` knows no queries.
    const isPlainFile = url.startsWith('file:') && !/[?#]/.test(url);
    if (!this.#options.loadsAtOnce || !isPlainFile || this.#first !== undefined) return false;
    this.#first = { url, reachedDriverPart: () => undefined };
    try {
      requireModule(fileURLToPath(url));
      return true;
    } catch (error) {
      // A module may throw anything.
      const code = (error as NodeJS.ErrnoException | null | undefined)?.code;
      if (code === undefined || !ONLY_IMPORTED.has(code)) throw error;
      this.#first = undefined;
      return false;
    }
  }

  async #importInTime(url: string, timeoutMs: number): Promise<void> {
    let cancelTimeout: (() => void) | undefined;
    this.#unfinishedLoads += 1;
    try {
      const tooLate = new Promise<never>((_resolve, reject) => {
        cancelTimeout = this.#options.clock.after(timeoutMs, () => reject(unfinished(timeoutMs)));
      });
      await Promise.race([this.#runTopLevel(url), tooLate]);
    } finally {
      cancelTimeout?.();
      this.#unfinishedLoads -= 1;
      // Following slows every promise of the process.
      if (this.#unfinishedLoads === 0) this.#topLevels.disable();
    }
  }

  /** Resolves when the module has finished, or its driver part is reached. */
  #runTopLevel(url: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const topLevel = { url, reachedDriverPart: () => resolve(undefined) };
      const isFirst = this.#first === undefined;
      this.#first ??= topLevel;
      const load = isFirst ? import(url) : this.#topLevels.run(topLevel, () => import(url));
      load.then(resolve, reject);
    });
  }

  async #compiled(moduleUrl: string): Promise<string> {
    const { compileTypeScript } = await import('./typescript-compiler.ts');
    return compileTypeScript(fileURLToPath(moduleUrl), this.#options.cacheDirectory);
  }
}

const unfinished = (timeoutMs: number): Error =>
  new Error(
    `what it awaits at its top level has not ended after ${timeoutMs} ms. Await it in a method or after init(), ` +
      'or give it more time with runtimeEnv.setupTimeoutMs.',
  );

const isTypeScript = (moduleUrl: string): boolean =>
  moduleUrl.startsWith('file:') && TYPESCRIPT.has(extname(fileURLToPath(moduleUrl)));

const definitionKey = (moduleUrl: string, exportKey: string): string => `${moduleUrl}#${exportKey}`;
