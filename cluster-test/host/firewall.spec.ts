/**
 * Both kinds of iptables, each with Docker and its FORWARD DROP: containers of either kind reach each other on one
 * host and the outside; a firewall that forgets everything gets it back.
 */
import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { CniContainer } from '#cluster-test/host/cni-container.js';
import { DockerDaemon } from '#cluster-test/host/docker-daemon.js';
import { Endpoint } from '#cluster-test/host/endpoint.js';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { Underlay } from '#cluster-test/host/netns.js';
import { cniTools, dockerTools } from '#cluster-test/host/requirements.js';
import { inputFor, settingsFor } from '#cluster-test/host/scene-input.js';
import { testFolder } from '#cluster-test/host/test-folder.js';
import { until } from '#cluster-test/process/condition.js';
import { command, requires } from '#cluster-test/requirement.js';

/** Well before the pass over everything, which comes after 60 s. */
const soonMs = 30_000;

describe('the firewall', function () {
  this.timeout(120_000);

  for (const flavour of ['iptables-nft', 'iptables-legacy'] as const) {
    it(`works with ${flavour} beside a Docker that uses it`, async function () {
      requires(this, ...cniTools, ...dockerTools, command(flavour));
      const underlay = new Underlay();
      const path = pathWith(flavour);
      const world = underlay.host('outside', '10.0.0.254/24');
      const host = underlay.host('h1', '10.0.0.1/24', '10.0.0.254');
      const docker = await DockerDaemon.start(host, { PATH: path });
      const driver = new HostDriver(host, { env: { PATH: path } });
      const outside = new Endpoint('outside', world.path, '10.0.0.254');
      let cni: CniContainer | undefined;
      try {
        assert.match(host.sh(`${flavour} -S FORWARD`), /^-P FORWARD DROP/, 'Docker drops what it does not know');
        const settings = settingsFor(flavour, { dockerHost: docker.address });
        await driver.update(inputFor(1, [], settings));
        await driver.allOk();
        cni = await CniContainer.attach('cni', host, join(settings.cniDir, 'dcos.conflist'));
        const inDocker = await docker.container('docker', 'dcos');
        await outside.ready;
        const talk = async (): Promise<void> => {
          assert.equal(await cni?.endpoint.seenBy(inDocker.address), '9.0.0.2');
          assert.equal(await inDocker.seenBy('9.0.0.2'), inDocker.address);
          assert.equal(await cni?.endpoint.seenBy('10.0.0.254'), '10.0.0.1');
          assert.equal(await inDocker.seenBy('10.0.0.254'), '10.0.0.1');
        };
        await talk();
        assert.match(
          host.sh(`${flavour} -t raw -S`),
          /-A PREROUTING .*-j SUBLET-GUARD\n[\s\S]*-A SUBLET-GUARD -p udp .*-j DROP/,
        );
        const chain = (name: string) => host.sh(`${flavour} -S ${name}`);
        assert.match(chain('DOCKER-USER'), /-j SUBLET-FORWARD\n.*-j RETURN/);
        host.sh(`${flavour} -F FORWARD && ${flavour} -F SUBLET-FORWARD && ${flavour} -F DOCKER-USER`);
        await until('the jump is back, in FORWARD, since nothing leads to DOCKER-USER', soonMs, () =>
          /-j SUBLET-FORWARD/.test(chain('FORWARD')) && /-i m-dcos/.test(chain('SUBLET-FORWARD')) ? true : undefined,
        );
        await talk();
        host.sh(`${flavour} -A DOCKER-USER -j RETURN && ${flavour} -I FORWARD -j DOCKER-USER`);
        await until('the jump is where Docker has it again', soonMs, () =>
          /-j SUBLET-FORWARD/.test(chain('DOCKER-USER')) && !/SUBLET/.test(chain('FORWARD')) ? true : undefined,
        );
        await inDocker.stop();
      } finally {
        await cni?.detach();
        await outside.stop();
        await driver.stop();
        await docker.remove();
        underlay.remove();
      }
    });
  }
});

/** A PATH on which `iptables`, as Docker and the site call it, is the given one. */
function pathWith(flavour: string): string {
  const { folder } = testFolder('path');
  for (const suffix of ['', '-save', '-restore']) {
    symlinkSync(`/usr/sbin/${flavour}${suffix}`, join(folder, `iptables${suffix}`));
    symlinkSync(`/usr/sbin/${flavour.replace('iptables', 'ip6tables')}${suffix}`, join(folder, `ip6tables${suffix}`));
  }
  return `${folder}:${process.env.PATH}`;
}
