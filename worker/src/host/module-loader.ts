import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ActorConstructor } from '@manta/runtime/actor/host-context';
import { RuntimeEnvSetupError } from '@manta/runtime/errors/errors';
import type { ClassReference } from '@manta/runtime/wire/messages';

const TYPESCRIPT = new Set(['.ts', '.mts', '.cts', '.tsx', '.jsx']);

/**
 * Loads the modules that define actor classes. A module may be a whole program: its class is taken as soon as it is
 * defined and the module either has finished or has reached `init()`, which never settles in a host, so the driver's
 * part does not run.
 */
export class ModuleLoader {
  readonly #cacheDirectory: string;
  readonly #classes = new Map<string, ActorConstructor>();
  readonly #loads = new Map<string, Promise<void>>();
  #reachedDriverPart: (() => void) | undefined;
  /** One module at a time: only so it is known whose driver part was reached. */
  #lastLoad: Promise<void> = Promise.resolve();

  constructor(cacheDirectory: string) {
    this.#cacheDirectory = cacheDirectory;
  }

  define(moduleUrl: string, exportKey: string, actorClass: ActorConstructor): void {
    this.#classes.set(classKey(moduleUrl, exportKey), actorClass);
  }

  reachedDriverPart(): void {
    this.#reachedDriverPart?.();
  }

  /** @throws RuntimeEnvSetupError when the module cannot be loaded or does not define the class. */
  async load(reference: ClassReference): Promise<ActorConstructor> {
    const key = classKey(reference.moduleUrl, reference.exportKey);
    const known = this.#classes.get(key);
    // Another module may have brought the class along; one that was loaded itself must have loaded well.
    if (known !== undefined && !this.#loads.has(reference.moduleUrl)) return known;
    await this.#loadModule(reference.moduleUrl);
    const actorClass = this.#classes.get(key);
    if (actorClass !== undefined) return actorClass;
    throw new RuntimeEnvSetupError(
      `Module ${reference.moduleUrl} was loaded but does not define actor ${reference.exportKey}. ` +
        'Call defineActor(import.meta, …) at the top level of the module, before anything it waits for.',
    );
  }

  #loadModule(moduleUrl: string): Promise<void> {
    let load = this.#loads.get(moduleUrl);
    if (load === undefined) {
      load = this.#lastLoad.then(() => this.#import(moduleUrl));
      this.#lastLoad = load.catch(() => undefined);
      this.#loads.set(moduleUrl, load);
    }
    return load;
  }

  async #import(moduleUrl: string): Promise<void> {
    try {
      const url = await this.#executableUrl(moduleUrl);
      const driverPart = new Promise<void>((resolve) => {
        this.#reachedDriverPart = resolve;
      });
      await Promise.race([import(url), driverPart]);
    } catch (error) {
      throw new RuntimeEnvSetupError(
        `Module ${moduleUrl} could not be loaded on this node: ${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      );
    } finally {
      this.#reachedDriverPart = undefined;
    }
  }

  async #executableUrl(moduleUrl: string): Promise<string> {
    if (!moduleUrl.startsWith('file:')) return moduleUrl;
    const path = fileURLToPath(moduleUrl);
    if (!TYPESCRIPT.has(extname(path))) return moduleUrl;
    const { compileTypeScript } = await import('./typescript-compiler.ts');
    return compileTypeScript(path, this.#cacheDirectory);
  }
}

const classKey = (moduleUrl: string, exportKey: string): string => `${moduleUrl}#${exportKey}`;
