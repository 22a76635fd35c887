import { describe, expect, test } from 'vitest';
import { parseCommandLine } from './command-line.ts';

const parse = (...args: string[]): ReturnType<typeof parseCommandLine> =>
  parseCommandLine(args, ['core', 'gateway']);

describe('the command line', () => {
  test('names suites and has defaults', () => {
    expect(parse('core')).toEqual({ suites: ['core'], peers: [], quick: false, rows: /(?:)/ });
  });

  test('takes all its options', () => {
    const args = [
      '--peers',
      'ray,moleculer',
      '--rows',
      '^1_1',
      '--json',
      'a.json',
      '--svg',
      'a.svg',
    ];
    expect(parse('core', 'gateway', ...args, '--settle', '0.5', '--quick')).toEqual({
      suites: ['core', 'gateway'],
      peers: ['ray', 'moleculer'],
      quick: true,
      rows: /^1_1/,
      jsonFile: 'a.json',
      svgFile: 'a.svg',
      settleMs: 500,
    });
  });

  test.each([
    [[], 'Name a suite: core, gateway.'],
    [['cor'], 'No suite "cor"'],
    [['core', '--settle', 'long'], '--settle takes seconds'],
    [['core', '--fast'], '--fast'],
  ])('%j is refused', (args, message) => {
    expect(() => parse(...args)).toThrow(message);
  });
});
