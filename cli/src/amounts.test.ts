import { describe, expect, it } from 'vitest';
import {
  parseAmount,
  parseArgument,
  parseBytes,
  parseDevices,
  parseDuration,
  parseInteger,
  parseLabels,
  parseResources,
} from './amounts.ts';

describe('amounts on the command line', () => {
  it.each([
    ['8GiB', 8 * 1024 ** 3],
    ['1.5 gb', 1_500_000_000],
    ['512', 512],
  ])('memory %s', (text, bytes) => {
    expect(parseBytes('--memory', text)).toBe(bytes);
  });

  it.each([
    ['2s', 2000],
    ['500ms', 500],
    ['1m', 60_000],
    ['250', 250],
  ])('time %s', (text, ms) => {
    expect(parseDuration('--timeout', text)).toBe(ms);
  });

  it('takes labels and custom resources apart', () => {
    expect(parseLabels('--labels', 'region=eu, note=a=b,')).toEqual({ region: 'eu', note: 'a=b' });
    expect(parseResources('--resources', '{"licence":2}')).toEqual({ licence: 2 });
  });

  it.each([
    ['{"a":1}', { a: 1 }],
    ['3', 3],
    ['"3"', '3'],
    ['hello', 'hello'],
    ['null', null],
  ])('argument %s', (text, value) => {
    expect(parseArgument(text)).toEqual(value);
  });

  it('names option, text and form of what is wrong', () => {
    expect(() => parseBytes('--memory', '8 cows')).toThrowError(/--memory: "8 cows".*8GiB/);
    expect(() => parseAmount('--cpus', '-1')).toThrowError(/--cpus: "-1"/);
    expect(() => parseAmount('--cpus', '')).toThrowError(/--cpus/);
    expect(() => parseDevices('--gpus', '1.5')).toThrowError(/--gpus: "1.5".*whole/);
    expect(() => parseInteger('--port', '70000', 65_535)).toThrowError(/0 to 65535/);
    expect(() => parseDuration('--timeout', 'soon')).toThrowError(/--timeout: "soon"/);
    expect(() => parseLabels('--labels', 'eu')).toThrowError(/key=value/);
    expect(() => parseResources('--resources', '[1]')).toThrowError(/--resources/);
    expect(() => parseResources('--resources', '{"a":"b"}')).toThrowError(/--resources/);
  });
});
