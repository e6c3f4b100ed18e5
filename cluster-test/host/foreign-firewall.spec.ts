/**
 * Firewalls of others that swallow what the overlays send: each makes the status fail, by name, and the very command
 * that the status gives opens it, with nothing of the other's taken away. One that accepts is not spoken of.
 */
import assert from 'node:assert/strict';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { hostTools } from '#cluster-test/host/requirements.js';
import { inputFor, leaseOf, settingsFor, withoutDocker } from '#cluster-test/host/scene-input.js';
import { until } from '#cluster-test/process/condition.js';
import { command, requires } from '#cluster-test/requirement.js';

/** Well before the pass over everything, which comes after 60 s. */
const soonMs = 30_000;
const nft = (text: string) => `nft -f - <<'END'\n${text}\nEND`;
const forwardReject = nft(
  'table inet others { chain f { type filter hook forward priority 10; ct state established accept; reject with icmpx admin-prohibited; }\n}',
);
const inputDrop = nft(
  'table inet others { chain i { type filter hook input priority 0; policy drop; iif lo accept; ct state established accept; tcp dport 22 accept; }\n}',
);

const closed = [
  {
    name: 'a table of nft that rejects what is forwarded',
    sets: forwardReject,
    says: /dcos6?.*"reject \(handle/,
    keeps: 'reject',
  },
  {
    name: 'a REJECT of iptables before our jump',
    sets: 'iptables -I FORWARD -j REJECT',
    says: /-j REJECT.* in the chain FORWARD/,
    keeps: '-j REJECT',
  },
  {
    name: 'a policy of the other iptables',
    sets: 'iptables-legacy -P FORWARD DROP',
    says: /policy DROP of the chain FORWARD \(iptables-legacy/,
    keeps: '-P FORWARD DROP',
  },
  {
    name: 'a policy of iptables on the tunnel’s port',
    sets: 'iptables -P INPUT DROP',
    says: /UDP port 64000/,
    keeps: '-P INPUT DROP',
  },
  { name: 'a policy of nft on the tunnel’s port', sets: inputDrop, says: /UDP port 64000/, keeps: 'tcp dport 22' },
] as const;

const open = [
  {
    name: 'rejects all but the tunnel’s device',
    sets: nft(
      'table inet others { chain f { type filter hook forward priority 10; iifname "vtep1024" accept; oifname "vtep1024" accept; reject; }\n}',
    ),
  },
  {
    name: 'accepts the tunnel’s port alone',
    sets: 'iptables -P INPUT DROP; iptables -A INPUT -p udp --dport 64000 -j ACCEPT',
  },
  { name: 'drops what is forwarded, after our jump', sets: 'iptables -P FORWARD DROP; iptables -A FORWARD -j REJECT' },
  {
    name: 'rejects other networks',
    sets: nft(
      'table inet others { chain f { type filter hook forward priority 10; ip daddr 192.168.0.0/16 reject; }\n}',
    ),
  },
];

describe('a firewall of others', function () {
  this.timeout(60_000);
  let underlay: Underlay;
  let host: Netns;
  let driver: HostDriver;

  before(function () {
    requires(this, ...hostTools, command('nft'));
  });

  beforeEach(async () => {
    underlay = new Underlay();
    host = underlay.host('h1', '10.0.0.1/24');
    driver = new HostDriver(host);
    const overlays = withoutDocker(leaseOf(1)).filter(({ name }) => name === 'dcos');
    await driver.update(inputFor(1, [2], settingsFor('foreign', { usesDocker: false }), overlays));
    await driver.allOk();
  });

  afterEach(async () => {
    await driver.stop();
    underlay.remove();
  });

  const everything = () => host.sh('nft list ruleset; iptables -S; iptables-legacy -S');

  for (const { name, sets, says, keeps } of closed) {
    it(`is named, with the command that opens it: ${name}`, async () => {
      host.sh(sets);
      const error = await until('the overlay fails', soonMs, () => {
        const [overlay] = driver.status.overlays;
        return overlay?.kind === 'failed' ? overlay.error : undefined;
      });
      assert.match(error, says);
      const remedy = /open it: (.*?)(?:\. |$)/.exec(error)?.[1] ?? '';
      host.sh(remedy);
      await driver.allOk();
      assert.ok(everything().includes(keeps), 'what was there is there');
      assert.deepEqual((await driver.metrics()).driftRepaired, {}, 'nothing was fought over');
    });
  }

  for (const { name, sets } of open) {
    it(`is not spoken of when it ${name}`, async () => {
      host.sh(sets);
      // A repair in the firewall shows that it was looked at since.
      host.sh('ipset del overlay 9.0.0.0/8');
      await until('the firewall was looked at', soonMs, async () => {
        return (await driver.metrics()).driftRepaired['set-entry'] === 1 ? true : undefined;
      });
      const [overlay] = driver.status.overlays;
      assert.deepEqual(overlay, { kind: 'ok', name: 'dcos', notes: [] });
    });
  }
});
