import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const turns = 700;
/** Many objects that live for a while, as the calls under way of a storm; prints the largest young generation, in bytes. */
const churn = `
  import { getHeapSpaceStatistics } from 'node:v8';
  import { setImmediate as turn } from 'node:timers/promises';
  const kept = [];
  let made = 0;
  let most = 0;
  for (let at = 0; at < ${turns}; at += 1) {
    for (let more = 0; more < 5_000; more += 1) kept[(made++ * 7) % 300_000] = { made, list: [made], text: 'n' + made };
    const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    most = Math.max(most, young.space_size);
    await turn();
  }
  console.log(most);
`;

/** In a process of its own: the settings are the process's. */
async function largestYoung(before: string): Promise<number> {
  const args = ['--input-type=module', '--eval', `${before}\n${churn}`];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return Number(stdout);
}

describe('the heap of a master', () => {
  it('has a young generation of 64 MiB, and some pages while it is collected', async function () {
    this.timeout(60_000);
    const module = new URL('heap-growth.js', import.meta.url);
    const largest = await largestYoung(`import { boundHeapGrowth } from '${module}'; boundHeapGrowth();`);
    // V8 takes some pages more while it collects. By itself it goes on to its next size, which is 128 MiB.
    assert.ok(largest < 80 * 1024 * 1024, `${largest} bytes`);
  });
});
