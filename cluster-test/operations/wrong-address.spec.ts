/** Real masters that are asked at the wrong port, or started beside the store of another cluster or member. */
import assert from 'node:assert/strict';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { command } from '#cluster-test/operations/operator.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { type MasterProcess, Masters, peerOf } from '#cluster-test/process/masters.js';

const boundMs = 15_000;

describe('a master', function () {
  this.timeout(60_000);
  let masters: Masters;
  let master: MasterProcess;

  before(async () => {
    masters = await Masters.start({ count: 1, config: benchConfig() });
    [master = assert.fail()] = masters.masters;
  });
  after(() => masters[Symbol.asyncDispose]());

  it('that is asked at its peer port says so, and where its API is', async () => {
    for (const words of [['status'], ['members'], ['overlays'], ['watch'], ['snapshot', 'save', '/dev/null']]) {
      const { code, output } = await command(...words, '--master', peerOf(master));
      assert.equal(code, 1, output);
      assert.ok(
        output.includes(`this is the port of master m1 for the other masters (its setting peer_listen)`),
        output,
      );
      assert.ok(output.includes(`clients go to its API, ${master.api}`), output);
      assert.doesNotMatch(output, /another version/);
    }
  });

  it('that is to be joined at its API or HTTP port is found to serve no peers there', async () => {
    for (const [port, says] of [
      [master.api, /it serves no peers there: that is another port of a master; name its peer port/],
      [master.http, /what listens there does not speak gRPC: name the peer port of a master/],
    ] as const) {
      const joiner = await masters.launch('m2', `${masters.folder}/joiner`, ['--cluster-id', 'test', '--join', port]);
      await until('it says why it waits', boundMs, () => holds(says.test(joiner.child.output))).catch((error) => {
        throw new Error(joiner.child.output, { cause: error });
      });
      await joiner.child.kill();
    }
  });

  it('beside the store of another cluster, or of another member, ends with 2 and names the setting', async () => {
    const store = await masters.launch('m9', `${masters.folder}/owned`, ['--cluster-id', 'berlin']);
    await masters.ready([store]);
    await store.child.stop();
    const start = async (...more: readonly string[]): Promise<string> => {
      const child = new Child([...store.args, ...more]);
      assert.deepEqual(await child.exited, { code: 2, signal: null }, child.output);
      return child.output;
    };
    const cluster = await start('--cluster-id', 'paris');
    assert.match(cluster, /cluster\.id: this store belongs to cluster berlin, but the configured cluster is paris/);
    assert.match(cluster, /set cluster\.id \(--cluster-id\) to berlin/);
    assert.match(await start('--name', 'm8'), /name: this store belongs to member m9, but the configured name is m8/);
    // The store is as it was.
    masters.restart(store);
    await masters.ready([store]);
  });
});
