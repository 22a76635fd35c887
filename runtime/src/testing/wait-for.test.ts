import { describe, expect, it } from 'vitest';
import { waitFor } from './wait-for.ts';

describe('waitFor', () => {
  it('returns what the condition returned', async () => {
    let calls = 0;
    const value = await waitFor(() => (++calls === 3 ? 'there' : undefined), {
      describe: 'three calls',
    });
    expect([value, calls]).toEqual(['there', 3]);
  });

  it('says what it waited for, with the last error of the condition', async () => {
    const cause = new Error('not yet');
    const waiting = waitFor(() => Promise.reject(cause), {
      timeoutMs: 20,
      describe: 'the impossible',
    });
    await expect(waiting).rejects.toMatchObject({
      message: expect.stringContaining('the impossible'),
      cause,
    });
  });
});
