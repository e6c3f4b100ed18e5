/** Network files with further plugins, in the folders of two engines: what the real plugins make of them. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CniContainer, cniPluginFolder } from '#cluster-test/host/cni-container.js';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { cniTools } from '#cluster-test/host/requirements.js';
import { inputFor, leaseOf, settingsFor, withoutDocker } from '#cluster-test/host/scene-input.js';
import { testFolder } from '#cluster-test/host/test-folder.js';
import { command, requires } from '#cluster-test/requirement.js';
import type { HostSettings } from '#host/input.js';

describe('network files with plugins of the site', function () {
  this.timeout(60_000);
  let underlay: Underlay;
  let host: Netns;
  let driver: HostDriver;
  let settings: HostSettings;
  let second: string;

  before(async function () {
    requires(this, ...cniTools, ...['tuning', 'bandwidth'].map((name) => command(`${cniPluginFolder}/${name}`)));
    underlay = new Underlay();
    host = underlay.host('h1', '10.0.0.1/24');
    second = join(testFolder('cni-second').folder, 'config');
    settings = settingsFor('cni-shape', {
      cniDirsBeside: [second],
      cniFilePrefix: '10-',
      cniDefault: 'dcos6',
      cniPortmap: false,
      cniChain: [
        { type: 'tuning', sysctl: { 'net.core.somaxconn': '444' } } as { type: string },
        { type: 'bandwidth', ingressRate: 8_000_000, ingressBurst: 800_000 } as { type: string },
      ],
      usesDocker: false,
    });
    driver = new HostDriver(host);
    await driver.update(inputFor(1, [2], settings, withoutDocker(leaseOf(1))));
    await driver.allOk();
  });

  after(async () => {
    await driver?.stop();
    underlay?.remove();
  });

  it('are in both folders, in the order that was asked for', () => {
    for (const dir of [settings.cniDir, second]) {
      assert.deepEqual(readdirSync(dir).sort(), ['10-dcos6.conflist', '10-zz-dcos.conflist'], dir);
    }
  });

  it('are run as one chain: the container has what each plugin does, and gives it back', async () => {
    const container = await CniContainer.attach('chained', host, join(second, '10-zz-dcos.conflist'));
    try {
      assert.match(container.endpoint.address, /^9\.0\.0\./);
      assert.equal(container.netns.sh('sysctl -n net.core.somaxconn').trim(), '444');
      assert.match(host.sh('tc qdisc show'), /qdisc tbf .* rate 8Mbit/);
    } finally {
      await container.detach();
    }
    assert.doesNotMatch(host.sh('tc qdisc show'), /tbf/);
  });
});
