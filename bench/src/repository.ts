import { fileURLToPath } from 'node:url';

/** A path of the repository; this file lies two folders below its root, compiled or not. */
export function repositoryPath(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}
