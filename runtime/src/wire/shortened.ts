import { LIMITS } from './limits.ts';

/** Room for the word about what is left out. */
const SUFFIX_LENGTH = 64;

/** Texts of unknown length that go into control messages: the start says what happened. */
export function shortened(text: string, lengthMax: number = LIMITS.causeLength): string {
  if (text.length <= lengthMax) return text;
  const kept = lengthMax - SUFFIX_LENGTH;
  return `${text.slice(0, kept)}… (${text.length - kept} more characters)`;
}
