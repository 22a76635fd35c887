import { describe, expect, it } from 'vitest';
import { parseConnect, tokenMatches } from './connect-options.ts';

describe('parseConnect', () => {
  it('fills in the defaults of the protocol', () => {
    expect(parseConnect('{}')).toEqual({
      name: '',
      verbose: false,
      pedantic: false,
      echo: true,
      headers: false,
      noResponders: false,
      authToken: undefined,
    });
  });

  it('gives no-responders only together with headers', () => {
    expect(parseConnect('{"no_responders":true}')?.noResponders).toBe(false);
    expect(parseConnect('{"no_responders":true,"headers":true}')?.noResponders).toBe(true);
  });

  it('ignores fields of the wrong type and shortens long names', () => {
    const options = parseConnect(
      JSON.stringify({ name: 'x'.repeat(1_000), verbose: 1, echo: 0, auth_token: 7 }),
    );
    expect(options).toMatchObject({ verbose: false, echo: true, authToken: undefined });
    expect(options?.name).toHaveLength(256);
  });

  it.each(['', '[]', 'null', '7', '{', '{"a":}'])('refuses %j', (text) => {
    expect(parseConnect(text)).toBeUndefined();
  });
});

describe('tokenMatches', () => {
  it('is true for the same token alone', () => {
    expect(tokenMatches('secret', 'secret')).toBe(true);
    for (const wrong of [undefined, '', 'secre', 'secret ', 'Secret'])
      expect(tokenMatches('secret', wrong)).toBe(false);
  });

  it('does not take a missing token for an empty one', () => {
    expect(tokenMatches('', undefined)).toBe(false);
  });
});
