import { describe, expect, it } from 'vitest';
import { describeUnmet, meetsRequirement, parseLabels } from './labels.ts';

function meets(text: string, labels: Record<string, string>): boolean {
  return parseLabels({ zone: text }).every((requirement) => meetsRequirement(requirement, labels));
}

describe('labels', () => {
  it.each([
    ['us', true, false, false],
    ['!us', false, true, true],
    ['in(us,eu)', true, true, false],
    ['in(asia, us)', true, false, false],
    ['!in(us,asia)', false, true, true],
  ])('%s on us, eu, none', (text, onUs, onEu, onNone) => {
    expect(meets(text, { zone: 'us' })).toBe(onUs);
    expect(meets(text, { zone: 'eu' })).toBe(onEu);
    expect(meets(text, {})).toBe(onNone);
  });

  it.each(['', '!', 'in()', 'in(a', 'a,b', 'in(a,,b)', '!!a'])('refuses %j', (text) => {
    expect(() => parseLabels({ zone: text })).toThrow(/labels\.zone/);
  });

  it('takes no inherited property for a label', () => {
    expect(parseLabels({ constructor: '!x' }).every((r) => meetsRequirement(r, {}))).toBe(true);
    expect(parseLabels({ constructor: 'x' }).some((r) => meetsRequirement(r, {}))).toBe(false);
  });

  it('says what is and what was wanted', () => {
    const [requirement] = parseLabels({ zone: 'us' });
    if (requirement === undefined) throw new Error('one requirement');
    expect(describeUnmet(requirement, { zone: 'eu' })).toBe('label zone is "eu", wanted "us"');
    expect(describeUnmet(requirement, {})).toBe('has no label zone, wanted "us"');
  });
});
