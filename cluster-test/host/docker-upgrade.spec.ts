/**
 * Docker upgraded under a network that has containers: the newer engine cuts them off from other hosts, and the overlay
 * fails with what to do; once they are gone, the network is made anew and all is well. The engine is a stand-in on a
 * socket, since one machine has one release of Docker.
 */
import assert from 'node:assert/strict';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { hostTools } from '#cluster-test/host/requirements.js';
import { inputFor, leaseOf, settingsFor, withoutDocker } from '#cluster-test/host/scene-input.js';
import { subletMain } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { requires } from '#cluster-test/requirement.js';
import type { DockerNetworkRequest } from '#host/desired/desired-docker.js';
import type { CheckFinding, HostOverlayStatus } from '#host/host-status.js';
import { FakeEngine, json } from '#host/testing/fake-engine.js';

/** The engine is looked at every 3 s. */
const soonMs = 30_000;

type Release = { readonly version: string; readonly api: string; readonly backend?: 'iptables' | 'nftables' };

type Network = DockerNetworkRequest & { readonly Id: string; Containers: Record<string, { readonly Name: string }> };

const before28: Release = { version: '27.5.1', api: '1.47' };

/** Keeps networks and their bridges while its release changes. */
class Upgraded {
  readonly engine = new FakeEngine();
  readonly #host: Netns;
  #networks: readonly Network[] = [];
  #release = before28;
  #made = 0;

  constructor(host: Netns) {
    this.#host = host;
  }

  async start(release: Release): Promise<void> {
    this.#release = release;
    this.#answer();
    await this.engine.listen();
  }

  get network(): Network | undefined {
    return this.#networks.find(({ Name }) => Name === 'dcos');
  }

  /** As `docker run` and `docker rm -f` leave it. */
  setContainers(...names: readonly string[]): void {
    if (this.network !== undefined) {
      this.network.Containers = Object.fromEntries(names.map((Name, at) => [`c${at}`, { Name }]));
    }
    this.#answer();
  }

  #answer(): void {
    const { version, api, backend } = this.#release;
    const at = `/v${api}`;
    this.engine.answers = {
      'GET /version': json({ Version: version, ApiVersion: api, MinAPIVersion: '1.24' }),
      [`GET ${at}/info`]: json({ FirewallBackend: { Driver: backend } }),
      [`GET ${at}/networks`]: json(this.#networks.map(({ Containers: _, ...listed }) => listed)),
      [`POST ${at}/networks/create`]: (request, response) => {
        const body: DockerNetworkRequest = JSON.parse(this.engine.bodies.at(-1) ?? '');
        const network = { ...body, Id: `n${++this.#made}`, Containers: {} };
        this.#host.sh(`ip link add ${bridgeOf(network)} type bridge`);
        this.#networks = [...this.#networks, network];
        this.#answer();
        json({ Id: network.Id }, 201)(request, response);
      },
      ...Object.fromEntries(
        this.#networks.flatMap((network) => [
          [`GET ${at}/networks/${network.Id}`, json(network)],
          [`DELETE ${at}/networks/${network.Id}`, this.#removal(network)],
        ]),
      ),
    };
  }

  #removal(network: Network): ReturnType<typeof json> {
    return (request, response) => {
      if (Object.keys(network.Containers).length > 0) {
        json({ message: `network ${network.Name} has active endpoints` }, 403)(request, response);
        return;
      }
      this.#host.sh(`ip link del ${bridgeOf(network)}`);
      this.#networks = this.#networks.filter((one) => one !== network);
      this.#answer();
      response.writeHead(204).end();
    };
  }
}

function bridgeOf({ Options }: DockerNetworkRequest): string {
  return Options['com.docker.network.bridge.name'] ?? '';
}

describe('a newer Docker under a network that has containers', function () {
  this.timeout(90_000);
  let underlay: Underlay;
  let host: Netns;
  let docker: Upgraded;
  let driver: HostDriver;

  before(function () {
    requires(this, ...hostTools);
  });

  beforeEach(async () => {
    underlay = new Underlay();
    host = underlay.host('h1', '10.0.0.1/24');
    docker = new Upgraded(host);
    await docker.start(before28);
    driver = new HostDriver(host);
  });

  afterEach(async () => {
    await driver?.stop();
    await docker?.engine.stop();
    underlay?.remove();
  });

  const overlay = (name: string): HostOverlayStatus | undefined =>
    driver.status.overlays.find((one) => one.name === name);

  for (const [release, says, option] of [
    [
      { version: '28.2.2', api: '1.50', backend: 'iptables' },
      /Docker 28\.2 drops .* by vtep1024 and m-dcos, .*trusted_host_interfaces=vtep1024:m-dcos\b/,
      ['trusted_host_interfaces', 'vtep1024:m-dcos:m-dcos6'],
    ],
    [
      { version: '29.0.1', api: '1.51', backend: 'nftables' },
      /Docker 29\.0 with nftables drops .*gateway_mode_ipv4=nat-unprotected/,
      ['gateway_mode_ipv4', 'nat-unprotected'],
    ],
  ] as const) {
    it(`fails the overlay while they are there, and makes the network anew after: ${release.version} with ${release.backend}`, async () => {
      const [dcos, ...others] = leaseOf(1);
      assert.ok(dcos);
      const settings = settingsFor('docker-upgrade', { dockerHost: docker.engine.host });
      await driver.update(inputFor(1, [2], settings, [dcos, ...withoutDocker(others)]));
      await driver.allOk();
      const made = docker.network;
      const [name, value] = option;
      assert.equal(made?.Options[`com.docker.network.bridge.${name}`], undefined);

      await docker.engine.close();
      docker.setContainers('web');
      await docker.start(release);
      const failed = await until('dcos fails by name of the option', soonMs, () => {
        const status = overlay('dcos');
        return status?.kind === 'failed' && says.test(status.error) ? status : undefined;
      });
      assert.match(failed.error, /"dcos" \(web\) are cut off from other hosts/);
      assert.match(failed.error, /Stop them or disconnect them, and "docker network rm dcos"/);
      assert.equal(overlay('dcos6')?.kind, 'ok');
      assert.match(host.sh('ip route show'), /9\.0\.1\.0\/24 via 44\.128\.0\.2/);
      assert.equal(docker.network?.Id, made?.Id, 'no network is taken from under its containers');

      docker.setContainers();
      await until('the network is made anew', soonMs, () => holds(docker.network?.Id !== made?.Id));
      await driver.allOk();
      assert.equal(docker.network?.Options[`com.docker.network.bridge.${name}`], value);
      docker.setContainers('web');
      const { passes } = await driver.metrics();
      await until('it was looked at with a container', soonMs, async () =>
        holds((await driver.metrics()).passes >= passes + 2),
      );
      await driver.allOk();

      const check = ['agent', 'check', '--docker-host', docker.engine.host, '-o', 'json'];
      const { stdout } = await host.run([process.execPath, subletMain, ...check]);
      const findings: readonly CheckFinding[] = JSON.parse(stdout);
      const found = findings.filter(({ what }) => what === 'docker');
      assert.deepEqual(
        found.map(({ severity, says: text }) => [severity, text]),
        [
          [
            'ok',
            `Docker ${release.version.replace(/\.\d+$/, '')} answers at ${docker.engine.host}, with the firewall backend ${release.backend}`,
          ],
        ],
      );
    });
  }
});
