import type { TaskBody } from '@manta/runtime/actor/host-context';
import type { ClassReference } from '@manta/runtime/wire/messages';
import type { ModuleLoader } from './module-loader.ts';

/** A task function in this process: leases come and go, it stays. */
export interface LoadedFunction {
  readonly body: TaskBody;
  /** How often it has run here. */
  calls: number;
  /** How long it took last time; undefined before the first. */
  runMs: number | undefined;
}

/** The task functions that this process has loaded. */
export class TaskFunctions {
  readonly #loader: ModuleLoader;
  readonly #loaded = new Map<string, LoadedFunction>();

  constructor(loader: ModuleLoader) {
    this.#loader = loader;
  }

  known({ moduleUrl, exportKey }: ClassReference): LoadedFunction | undefined {
    return this.#loaded.get(`${moduleUrl}#${exportKey}`);
  }

  /** @throws RuntimeEnvSetupError when the module cannot be loaded or does not define the function. */
  async load(reference: ClassReference, timeoutMs: number | undefined): Promise<LoadedFunction> {
    const body = await this.#loader.loadTask(reference, timeoutMs);
    const known = this.known(reference);
    if (known !== undefined) return known;
    const loaded: LoadedFunction = { body, calls: 0, runMs: undefined };
    this.#loaded.set(`${reference.moduleUrl}#${reference.exportKey}`, loaded);
    return loaded;
  }
}
