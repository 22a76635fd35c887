import { describe, expect, it } from 'vitest';
import { Outbox } from './outbox.ts';

describe('Outbox', () => {
  it('joins small pieces into one chunk, in order', () => {
    const outbox = new Outbox();
    outbox.text('+OK\r\n');
    outbox.message('MSG a 1 3\r\n', Buffer.from('abc'));
    outbox.message('MSG größe 1 0\r\n', Buffer.alloc(0));
    const expected = Buffer.from('+OK\r\nMSG a 1 3\r\nabc\r\nMSG größe 1 0\r\n\r\n', 'latin1');
    expect(outbox.bytes).toBe(expected.length);
    expect(outbox.take()).toEqual([expected]);
    expect(outbox.bytes).toBe(0);
  });

  it('passes large payloads on without copying and keeps the order', () => {
    const outbox = new Outbox();
    const large = Buffer.alloc(100_000, 'x');
    const other = Buffer.alloc(40_000, 'y');
    outbox.text('first\r\n');
    outbox.message('MSG a 1 100000\r\n', large);
    outbox.message('MSG a 1 40000\r\n', other);
    outbox.text('last\r\n');
    const chunks = outbox.take();
    expect(chunks).toContain(large);
    expect(chunks).toContain(other);
    expect(Buffer.concat(chunks).toString()).toBe(
      `first\r\nMSG a 1 100000\r\n${large.toString()}\r\nMSG a 1 40000\r\n${other.toString()}\r\nlast\r\n`,
    );
  });

  it('is empty after clear', () => {
    const outbox = new Outbox();
    outbox.text('gone');
    outbox.clear();
    outbox.text('stays');
    expect(Buffer.concat(outbox.take()).toString()).toBe('stays');
  });
});
