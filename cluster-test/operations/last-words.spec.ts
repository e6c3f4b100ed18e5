/** A master that stops for good tells the others why: they are the ones that are asked about it then. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { benchConfig, Registrar } from '#cluster-test/bench/plan.js';
import { Disk } from '#cluster-test/faults/disk.js';
import { command } from '#cluster-test/operations/operator.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { Masters } from '#cluster-test/process/masters.js';
import { requires, root } from '#cluster-test/requirement.js';

const boundMs = 30_000;
const diskBytes = 160 * 1024 * 1024;
const registrationsMax = 2_000;

/** The last words of a master whose disk is full: the reason in one line of level FATAL, and no stack. */
function assertReasonOnce(output: string): void {
  const fatal = output.split('\n').filter((line) => line.includes('"level":"fatal"'));
  assert.equal(fatal.length, 1, output);
  const { msg, err } = JSON.parse(fatal[0] ?? '');
  assert.match(msg, /^No space left while the store in .*, then start again\.$/);
  assert.equal(err, undefined);
  assert.equal(output.split('No space left while the store in').length - 1, 1, output);
  assert.doesNotMatch(output, /\.js:\d|\bstack\b/);
  assert.match(output, /\nsublet: master m3 has stopped by itself; its log says why\n$/);
}

describe('a master that stops for good', function () {
  this.timeout(120_000);
  let folder = '';
  let masters: Masters | undefined;
  let disk: Disk | undefined;

  before(async function () {
    requires(this, root);
    folder = mkdtempSync(join(tmpdir(), 'sublet-last-words-'));
    disk = new Disk(join(folder, 'm3'), diskBytes);
    masters = await Masters.start({ count: 3, config: benchConfig(), folder });
  });
  afterEach(function () {
    showOnFailure(this, masters?.masters);
  });
  after(async () => {
    await masters?.[Symbol.asyncDispose]();
    disk?.remove();
    if (folder !== '') rmSync(folder, { recursive: true, force: true });
  });

  it('is named with its reason by the others, until it is started again; one that is killed is not', async () => {
    const [m1 = assert.fail(), m2 = assert.fail(), m3 = assert.fail()] = masters?.masters ?? [];
    using registrar = new Registrar([m1.api, m2.api]);
    disk?.fill(0);
    for (let at = 0; m3.child.running && at < registrationsMax; at++) await registrar.register(at);
    assert.equal((await m3.child.exited).code, 70);
    assertReasonOnce(m3.child.output);
    for (const words of [['status'], ['members']]) {
      for (const { api } of [m1, m2]) {
        await until(`sublet ${words} at ${api} has the reason`, boundMs, async () => {
          const { output } = await command(...words, '--master', api);
          return holds(/m3 stopped by itself: No space left while the store in/.test(output.replaceAll(/\s+/g, ' ')));
        });
      }
    }
    disk?.free();
    masters?.restart(m3);
    await masters?.ready([m3]);
    await until('nobody says so any more', boundMs, async () =>
      holds(!/stopped by itself/.test((await command('status', '--master', m1.api)).output)),
    );
    await m3.child.kill();
    await until('it is dead', boundMs, async () =>
      holds(/m3 .*dead for/.test((await command('members', '--master', m1.api)).output)),
    );
    assert.doesNotMatch((await command('status', '--master', m1.api)).output, /stopped by itself/);
  });
});
