import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SiteRecord } from '#cluster-test/site/record.js';

const one = { name: 'host-1', agentId: 'host-1' };
const other = { name: 'host-2', agentId: 'host-2' };
const copy = { name: 'host-1-copy', agentId: 'host-1' };
const blocks = ['44.128.0.1', '9.0.0.0/24'];

describe('the record of a site', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-record-spec-'));
  let record: SiteRecord;
  beforeEach(() => {
    record = new SiteRecord(join(folder, 'record.jsonl'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('notes one block granted to two hosts', () => {
    record.acknowledged(one, blocks);
    record.acknowledged(other, ['44.128.0.2', '9.0.0.0/24']);
    assert.deepEqual(record.wrong, ['9.0.0.0/24 was granted to host-2, while host-1 holds it']);
  });

  it('notes another block granted to a host that has not left', () => {
    record.acknowledged(one, blocks);
    record.acknowledged(one, ['44.128.0.1', '9.0.1.0/24']);
    assert.deepEqual(record.wrong, [
      'host-1 was granted 44.128.0.1 9.0.1.0/24, and host-1 was granted 44.128.0.1 9.0.0.0/24 before',
    ]);
  });

  it('takes what was granted for free once the host has left, and for the same at each copy of a host', () => {
    record.acknowledged(one, blocks);
    record.acknowledged(copy, blocks);
    record.left(one);
    record.acknowledged(other, blocks);
    assert.deepEqual([record.wrong, record.held(one), record.held(other)], [[], undefined, blocks]);
  });

  it('takes what may have been given back for free, and for held as long as nothing else is granted', () => {
    record.acknowledged(one, blocks);
    record.perhapsLeft(copy);
    assert.deepEqual(record.held(one), blocks);
    record.acknowledged(other, blocks);
    record.acknowledged(one, ['44.128.0.3', '9.0.3.0/24']);
    assert.deepEqual(record.wrong, []);
    record.acknowledged(one, ['44.128.0.4', '9.0.4.0/24']);
    assert.equal(record.wrong.length, 1);
  });

  it('keeps when a host was first granted what it holds', () => {
    record.acknowledged(one, blocks);
    const first = record.firstGrantedAt(one);
    record.acknowledged(one, blocks);
    assert.equal(record.firstGrantedAt(one), first);
    record.left(one);
    assert.equal(record.firstGrantedAt(one), undefined);
  });
});
