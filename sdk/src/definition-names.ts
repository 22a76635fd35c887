/** Definitions per module, so that two of one name get different keys, the same ones in every process. */
const definedNames = new Map<string, number>();

/** The key under which a worker finds what the module defines now. */
export function nameDefinition(moduleUrl: string, name: string): string {
  const key = `${moduleUrl}#${name}`;
  const count = (definedNames.get(key) ?? 0) + 1;
  definedNames.set(key, count);
  return count === 1 ? name : `${name}#${count}`;
}
