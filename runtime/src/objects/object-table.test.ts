import { randomFillSync } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { createIdMint, type ObjectId, type ProcessId } from '../ids.ts';
import { ObjectRef, type AnyObjectRef, type RefOwnerRuntime } from './object-ref.ts';
import { ObjectTable } from './object-table.ts';

const mintId = createIdMint(randomFillSync);
const [self, a, b] = [mintId('process'), mintId('process'), mintId('process')];

let table: ObjectTable;
let ref: AnyObjectRef;
let id: ObjectId;
let letGo: AnyObjectRef[];

beforeEach(() => {
  letGo = [];
  table = new ObjectTable(self, (ref) => letGo.push(ref));
  ref = new ObjectRef({} as RefOwnerRuntime);
  id = mintId('object');
  ref.objectId = id;
});

const isKept = (): boolean => table.isExported(ref);
const ofOwner = (times: number) => ({ fromOwner: times });
const ofGiver = (giver: ProcessId, times: number) => ({
  fromOwner: 0,
  fromOthers: new Map([[giver, times]]),
});

describe('an object that was lent', () => {
  it('stays until its borrower has got all that was sent and let go', () => {
    table.lend(ref, a);
    table.lend(ref, a);
    table.release(id, a, ofOwner(1));
    expect(isKept()).toBe(true);
    table.release(id, a, ofOwner(1));
    expect(isKept()).toBe(false);
  });

  it('stays while a value here contains it', () => {
    table.pin(ref);
    table.lend(ref, a);
    table.release(id, a, ofOwner(1));
    expect(isKept()).toBe(true);
    table.unpin(ref);
    expect(isKept()).toBe(false);
  });

  it('is let go at once when its user was done with it before its last borrower', () => {
    const heir: AnyObjectRef = new ObjectRef({} as RefOwnerRuntime);
    heir.objectId = id;
    table.lend(ref, a);
    table.replace(ref, heir);
    expect(letGo).toEqual([]);
    table.release(id, a, ofOwner(1));
    expect(letGo).toEqual([heir]);
  });

  it('is left to the garbage collector where its user has it again', () => {
    const heir: AnyObjectRef = new ObjectRef({} as RefOwnerRuntime);
    heir.objectId = id;
    table.lend(ref, a);
    table.replace(ref, heir);
    expect(table.cameHome(id, undefined)).toBe(heir);
    table.release(id, a, ofOwner(1));
    expect(isKept()).toBe(false);
    expect(letGo).toEqual([]);
  });

  it('stays for who was given it by a borrower that has let go', () => {
    table.lend(ref, a);
    table.lentOn(id, b, a);
    table.release(id, a, ofOwner(1));
    expect(isKept()).toBe(true);
    table.release(id, b, ofGiver(a, 1));
    expect(isKept()).toBe(false);
  });

  it('is not held by a word of a giver that comes after all is over', () => {
    table.lend(ref, a);
    table.release(id, b, ofGiver(a, 1));
    table.lentOn(id, b, a);
    table.release(id, a, ofOwner(1));
    expect(isKept()).toBe(false);
  });

  it('is not taken from who got it again by a word that died with its giver', () => {
    table.pin(ref);
    table.borrow(id, b);
    table.release(id, b, ofGiver(a, 1));
    table.lend(ref, b);
    table.unpin(ref);
    expect(isKept()).toBe(true);
    table.release(id, b, ofOwner(1));
    expect(isKept()).toBe(false);
  });

  it('stays while it is on its way home', () => {
    table.lend(ref, a);
    table.lentOn(id, self, a);
    table.release(id, a, ofOwner(1));
    expect(table.cameHome(id, a)).toBe(ref);
    expect(isKept()).toBe(false);
  });

  it('does not wait for what a dead process was sending home', () => {
    table.lend(ref, a);
    table.lentOn(id, self, a);
    table.releaseAllOf(a);
    expect(isKept()).toBe(false);
  });

  it('says who borrows it', () => {
    table.lend(ref, a);
    table.release(id, b, ofGiver(a, 1));
    table.lentOn(id, self, a);
    expect(table.entries()).toMatchObject([{ id, pins: 0, borrowers: [a] }]);
  });
});

describe('a borrower that says nothing', () => {
  function ask(holds: boolean): void {
    for (const asked of table.questionsFor(a, 10)) table.answered(asked, a, holds);
  }

  it('is asked, and counts as long as it holds the ref', () => {
    table.lend(ref, a);
    ask(true);
    expect([table.awaitsWordOf(a), isKept()]).toEqual([false, true]);
    table.release(id, a, ofOwner(1));
    expect(isKept()).toBe(false);
  });

  it('counts no more when it says twice that it does not hold the ref', () => {
    table.lend(ref, a);
    ask(false);
    expect(isKept()).toBe(true);
    ask(false);
    expect(isKept()).toBe(false);
  });

  it('counts again when it is given the ref again, whatever it says to a former question', () => {
    table.lend(ref, a);
    ask(false);
    expect(table.questionsFor(a, 10)).toEqual([id]);
    table.lend(ref, a);
    table.answered(id, a, false);
    ask(false);
    expect(isKept()).toBe(true);
  });

  it('is not believed to hold what it has released since it was asked', () => {
    table.pin(ref);
    table.lend(ref, a);
    table.questionsFor(a, 10);
    table.release(id, a, ofOwner(1));
    table.answered(id, a, true);
    table.unpin(ref);
    expect(isKept()).toBe(false);
  });

  it('does not outlast another that holds the ref', () => {
    table.lend(ref, a);
    table.borrow(id, b);
    ask(false);
    ask(false);
    expect(isKept()).toBe(true);
    table.release(id, b, ofOwner(0));
    expect(isKept()).toBe(false);
  });

  it('and cannot be found counts only when the owner itself has given it the ref', () => {
    table.lend(ref, a);
    table.lentOn(id, b, a);
    table.doubt(a);
    table.doubt(b);
    expect(table.entries()).toMatchObject([{ borrowers: [a] }]);
    table.release(id, a, ofOwner(1));
    expect(isKept()).toBe(false);
  });
});
