import { stripVTControlCharacters } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { InvalidArgumentError, MantaError } from '../errors/errors.ts';
import { createLogger } from './logger.ts';
import { readableLine } from './readable-line.ts';

const collect = () => {
  const lines: string[] = [];
  const parsed = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { destination: { write: (line: string) => void lines.push(line) }, lines, parsed };
};

afterEach(() => vi.unstubAllEnvs());

describe('logger', () => {
  it('writes JSON lines with level, time, name and fields', () => {
    const { destination, parsed } = collect();
    createLogger({ name: 'head', destination }).info({ actorId: 'a_1' }, 'actor started');
    expect(parsed()).toEqual([
      expect.objectContaining({
        level: 'info',
        name: 'head',
        actorId: 'a_1',
        msg: 'actor started',
      }),
    ]);
    expect(parsed()[0]?.['time']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  it('takes its level from the option, else from the environment', () => {
    vi.stubEnv('MANTA_LOG_LEVEL', 'warn');
    const { destination, parsed } = collect();
    const quiet = createLogger({ name: 'a', destination });
    quiet.info('not seen');
    quiet.warn('seen');
    createLogger({ name: 'b', level: 'debug', destination }).debug('seen too');
    expect(parsed().map((line) => line['msg'])).toEqual(['seen', 'seen too']);
    vi.stubEnv('MANTA_LOG_LEVEL', 'loud');
    expect(() => createLogger({ name: 'a', destination })).toThrow(InvalidArgumentError);
  });

  it('hides secrets', () => {
    const { destination, lines } = collect();
    const logger = createLogger({ name: 'a', destination });
    const secret = 's3cret';
    logger.info({
      token: secret,
      apiKey: secret,
      options: { token: secret, authorization: secret },
      request: { headers: { authorization: secret, host: 'h' } },
    });
    logger.child({ token: secret }).info('child');
    expect(lines.join('')).not.toContain(secret);
    expect(lines[0]).toContain('"host":"h"');
    expect(lines.join('').match(/\[redacted\]/g)).toHaveLength(6);
  });

  it('writes errors with their cause', () => {
    const { destination, parsed } = collect();
    const error = new MantaError('outer', { cause: new Error('inner') });
    createLogger({ name: 'a', destination }).error({ err: error }, 'failed');
    const { err } = parsed()[0] as { err: { message: string; stack: string; code: string } };
    expect(err.message).toContain('outer');
    expect(err.stack).toContain('inner');
    expect(err.code).toBe('MANTA_INTERNAL');
  });
});

describe('readable lines', () => {
  const plain = (line: string) => stripVTControlCharacters(readableLine(line));

  it('show time, level, name, message, fields and stack', () => {
    const { destination, lines } = collect();
    const logger = createLogger({ name: 'head', destination });
    logger.warn({ actorId: 'a_1', nodes: [1] }, 'slow');
    expect(plain(lines[0] as string)).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} warn {2}head: slow actorId=a_1 nodes=\[1\]\n$/,
    );
    logger.error({ err: new Error('broken') }, 'failed');
    expect(plain(lines[1] as string)).toMatch(/error head: failed\n {4}Error: broken\n {4} {4}at /);
  });

  it('leave what is no JSON alone', () => {
    expect(readableLine('plain text\n')).toBe('plain text\n');
  });
});
