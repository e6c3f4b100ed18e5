/**
 * The judge of packet filters against the kernel: under each of these firewalls a real packet is sent from one
 * namespace to another through a host, and whether it arrives must be what the judge says.
 */
import assert from 'node:assert/strict';
import { Netns as Namespace, type Netns } from '#cluster-test/host/netns.js';
import { hostTools } from '#cluster-test/host/requirements.js';
import { until } from '#cluster-test/process/condition.js';
import { command, requires } from '#cluster-test/requirement.js';
import { forwardDrops, tunnelDrops } from '#host/desired/blackholes.js';
import { readAddressRange } from '#host/filter/address-range.js';
import { FilterReader } from '#host/filter/filter-reader.js';
import { saveTables } from '#host/observe/observe-firewall.js';
import { processRunner, type Runner } from '#host/tools/runner.js';

type Judged = 'passes' | 'dropped' | 'may be dropped';
type Case = { readonly name: string; readonly sets: string; readonly is: Judged };

const nft = (text: string) => `nft -f - <<'END'\n${text}\nEND`;
const inForward = (rules: string, policy = 'accept') =>
  nft(`table inet t { chain f { type filter hook forward priority 10; policy ${policy}; ${rules}\n}\n}`);
const inInput = (rules: string, policy = 'drop') =>
  nft(`table inet t { chain i { type filter hook input priority 0; policy ${policy}; ${rules}\n}\n}`);

const atDevice = (device: string, rules: string) =>
  nft(`table netdev t { chain i { type filter hook ingress device "${device}" priority 0; ${rules}\n}\n}`);

/** As firewalld 1.3 makes them, shortened: zones by device, and a reject for what is in none. */
const firewalld = (zones: string) =>
  nft(`table inet firewalld {
    chain filter_FORWARD {
      type filter hook forward priority filter + 10; policy accept;
      ct state { established, related } accept
      ct status dnat accept
      iifname "lo" accept
      ct state invalid drop
      jump filter_FORWARD_ZONES
      reject with icmpx admin-prohibited
    }
    chain filter_FORWARD_ZONES { ${zones} goto filter_FWD_public; }
    chain filter_FWD_public { jump filter_FWD_public_pre; jump filter_FWD_public_allow; reject with icmpx admin-prohibited; }
    chain filter_FWD_public_pre { }
    chain filter_FWD_public_allow { tcp dport 22 ct state { new, untracked } accept; }
    chain filter_FWD_trusted { jump filter_FWD_public_pre; accept; }
  }`);

/** As Docker 29 makes them with the backend nftables, shortened. */
const dockerBridges = (verdict: string) =>
  nft(`table ip docker-bridges {
    chain into { ct state established,related counter accept; iifname "m-dcos" counter accept; counter ${verdict}; }
    chain out { ct state established,related counter accept; counter accept; }
    map in-jumps { type ifname : verdict; elements = { "docker0" : jump out, "m-dcos" : jump into } }
    map out-jumps { type ifname : verdict; elements = { "m-dcos" : jump out } }
    chain filter-FORWARD {
      type filter hook forward priority filter; policy accept;
      oifname vmap @in-jumps
      iifname vmap @out-jumps
    }
  }`);

/** As ufw 0.36 makes them, shortened. */
const ufw = (allowed: string) => `
  for c in ufw-before-input ufw-not-local ufw-user-input ufw-reject-input ufw-logging-deny; do iptables -N $c; done
  iptables -A INPUT -j ufw-before-input; iptables -A INPUT -j ufw-reject-input; iptables -P INPUT DROP
  iptables -A ufw-before-input -i lo -j ACCEPT
  iptables -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
  iptables -A ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny
  iptables -A ufw-before-input -m conntrack --ctstate INVALID -j DROP
  iptables -A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
  iptables -A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT
  iptables -A ufw-before-input -j ufw-not-local
  iptables -A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
  iptables -A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
  iptables -A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j ufw-logging-deny
  iptables -A ufw-not-local -j DROP
  iptables -A ufw-before-input -j ufw-user-input
  ${allowed}`;

const hardened = `iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -m conntrack --ctstate INVALID -j DROP
  iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
  iptables -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT; iptables -P INPUT DROP;`;

const forwarded: readonly Case[] = [
  { name: 'nothing', sets: 'true', is: 'passes' },
  { name: 'firewalld, our devices in no zone', sets: firewalld(''), is: 'dropped' },
  {
    name: 'firewalld, our devices in its trusted zone',
    sets: firewalld('iifname { "vtep1024", "m-dcos" } goto filter_FWD_trusted;'),
    is: 'passes',
  },
  {
    name: 'firewalld, one of our devices in its trusted zone',
    sets: firewalld('iifname "m-dcos" goto filter_FWD_trusted;'),
    is: 'dropped',
  },
  {
    name: 'a policy DROP of nft',
    sets: inForward('ct state established accept; tcp dport 22 accept', 'drop'),
    is: 'dropped',
  },
  {
    name: 'accepts of nft before its policy DROP',
    sets: inForward('iifname "vtep*" accept; oifname "vtep1024" accept', 'drop'),
    is: 'passes',
  },
  {
    name: 'the overlay’s addresses accepted',
    sets: inForward('ip saddr 9.0.0.0/8 ip daddr { 9.0.0.0/8 } accept', 'drop'),
    is: 'passes',
  },
  {
    name: 'others’ addresses rejected',
    sets: inForward('ip daddr 192.168.0.0/16 reject; ip saddr != 9.0.0.0/8 drop'),
    is: 'passes',
  },
  { name: 'all but SSH rejected', sets: inForward('tcp dport != 22 reject'), is: 'dropped' },
  { name: 'IPv6 alone rejected', sets: inForward('meta nfproto ipv6 reject'), is: 'passes' },
  { name: 'UDP alone dropped', sets: inForward('meta l4proto udp drop; udp dport 53 drop'), is: 'passes' },
  { name: 'ICMP alone dropped', sets: inForward('icmp type echo-request drop; ip protocol icmp drop'), is: 'passes' },
  {
    name: 'a verdict map by state',
    sets: inForward('ct state vmap { established : accept, new : drop }'),
    is: 'dropped',
  },
  {
    name: 'a goto that comes back to the policy',
    sets: nft(
      'table ip t { chain c { return; }\nchain f { type filter hook forward priority 0; policy accept; goto c; drop;\n}\n}',
    ),
    is: 'passes',
  },
  {
    name: 'a jump that returns to a drop',
    sets: nft(
      'table ip t { chain c { return; }\nchain f { type filter hook forward priority 0; policy accept; jump c; drop;\n}\n}',
    ),
    is: 'dropped',
  },
  {
    name: 'an accept in one table and a drop in another',
    sets: `${inForward('accept')}\n${nft('table ip u { chain f { type filter hook forward priority 20; drop;\n}\n}')}`,
    is: 'dropped',
  },
  { name: 'Docker’s own drop in nftables', sets: dockerBridges('drop'), is: 'dropped' },
  { name: 'Docker’s nftables with nothing protected', sets: dockerBridges('accept'), is: 'passes' },
  {
    name: 'a blocklist that we are not on',
    sets: `${inForward('ip saddr @bad drop').replace('chain f', 'set bad { type ipv4_addr; elements = { 1.2.3.4 } }\nchain f')}`,
    is: 'passes',
  },
  { name: 'a mark that decides', sets: inForward('meta mark 7 accept; reject'), is: 'may be dropped' },
  { name: 'iptables -P FORWARD DROP', sets: 'iptables -P FORWARD DROP', is: 'dropped' },
  {
    name: 'iptables -P FORWARD DROP behind our accepts',
    sets: 'iptables -P FORWARD DROP; iptables -N OURS; iptables -A OURS -i vtep1024 -j ACCEPT; iptables -A OURS -o vtep+ -j ACCEPT; iptables -I FORWARD -m comment --comment "a -j DROP b" -j OURS',
    is: 'passes',
  },
  {
    name: 'iptables -I FORWARD -j REJECT',
    sets: 'iptables -A FORWARD -i vtep1024 -j ACCEPT; iptables -I FORWARD -j REJECT',
    is: 'dropped',
  },
  {
    name: 'iptables, new connections rejected',
    sets: 'iptables -A FORWARD -m conntrack --ctstate NEW -j REJECT',
    is: 'dropped',
  },
  {
    name: 'iptables, invalid packets dropped',
    sets: 'iptables -A FORWARD -m state --state INVALID -j DROP',
    is: 'passes',
  },
  {
    name: 'iptables, a set that we are not in',
    sets: 'ipset create x hash:ip; iptables -A FORWARD -m set --match-set x src -j DROP',
    is: 'passes',
  },
  {
    name: 'iptables, raw drops by device',
    sets: 'iptables -t raw -A PREROUTING ! -i eth0 -d 9.0.0.0/8 -j DROP',
    is: 'dropped',
  },
  { name: 'iptables-legacy -P FORWARD DROP', sets: 'iptables-legacy -P FORWARD DROP', is: 'dropped' },
  {
    name: 'nft, a drop as the tunnel’s device takes it in',
    sets: atDevice('vtep1024', 'tcp dport != 22 drop'),
    is: 'dropped',
  },
  { name: 'nft, a drop at another device', sets: atDevice('eth0', 'drop'), is: 'passes' },
  {
    name: 'nft, other peers and ports of another protocol',
    sets: inForward('ip saddr . udp dport != { 10.0.0.2 . 64000 } drop'),
    is: 'passes',
  },
  {
    name: 'nft, other peers and ports of the same protocol',
    sets: inForward('ip saddr . tcp dport != { 10.0.0.2 . 64000 } drop'),
    is: 'dropped',
  },
];

const received: readonly Case[] = [
  { name: 'nothing', sets: 'true', is: 'passes' },
  { name: 'iptables -P INPUT DROP', sets: hardened, is: 'dropped' },
  {
    name: 'iptables -P INPUT DROP with the port open',
    sets: `${hardened} iptables -I INPUT -p udp --dport 64000 -j ACCEPT`,
    is: 'passes',
  },
  {
    name: 'the port among others',
    sets: `${hardened} iptables -A INPUT -p udp -m multiport --dports 53,60000:65000 -j ACCEPT`,
    is: 'passes',
  },
  {
    name: 'another port',
    sets: `${hardened} iptables -A INPUT -p udp -m multiport --dports 53,4789 -j ACCEPT`,
    is: 'dropped',
  },
  { name: 'the peers’ network accepted', sets: `${hardened} iptables -A INPUT -s 10.0.0.0/24 -j ACCEPT`, is: 'passes' },
  {
    name: 'a range of peers accepted',
    sets: `${hardened} iptables -A INPUT -m iprange --src-range 10.0.0.1-10.0.0.9 -p udp -j ACCEPT`,
    is: 'passes',
  },
  { name: 'another network accepted', sets: `${hardened} iptables -A INPUT -s 10.1.0.0/24 -j ACCEPT`, is: 'dropped' },
  { name: 'the underlay’s device accepted', sets: `${hardened} iptables -A INPUT -i eth+ -j ACCEPT`, is: 'passes' },
  { name: 'ufw', sets: ufw('true'), is: 'dropped' },
  {
    name: 'ufw with the port allowed',
    sets: ufw('iptables -A ufw-user-input -p udp -m udp --dport 64000 -j ACCEPT'),
    is: 'passes',
  },
  {
    name: 'a policy DROP of nft',
    sets: inInput('iif lo accept; ct state established,related accept; tcp dport { 22, 80 } accept'),
    is: 'dropped',
  },
  { name: 'the port in a range of nft', sets: inInput('udp dport { 53, 64000-64010 } accept'), is: 'passes' },
  {
    name: 'the port for a named set of peers',
    sets: inInput('ip saddr @peers udp dport 64000 accept').replace(
      'chain i',
      'set peers { type ipv4_addr; flags interval; elements = { 10.0.0.0/28, 10.7.0.1 } }\nchain i',
    ),
    is: 'passes',
  },
  {
    name: 'the port for a named set without the peer',
    sets: inInput('ip saddr @peers udp dport 64000 accept').replace(
      'chain i',
      'set peers { type ipv4_addr; elements = { 10.7.0.1 } }\nchain i',
    ),
    is: 'dropped',
  },
  {
    name: 'ports of nft beside their protocols',
    sets: inInput('meta l4proto . th dport { tcp . 64000, udp . 53 } accept'),
    is: 'dropped',
  },
  {
    name: 'the port beside the peer’s address',
    sets: inInput('ip saddr . udp dport { 10.7.0.1 . 53, 10.0.0.2 . 64000-64010 } accept'),
    is: 'passes',
  },
  {
    name: 'a verdict map by address and port',
    sets: inInput('ip saddr . udp dport vmap { 10.0.0.2 . 53 : accept, 10.0.0.2 . 64000 : drop }', 'accept'),
    is: 'dropped',
  },
  { name: 'the port by a verdict map', sets: inInput('udp dport vmap { 53 : drop, 64000 : accept }'), is: 'passes' },
  { name: 'all for this host accepted', sets: inInput('fib daddr type local accept'), is: 'passes' },
  { name: 'a bound on connections', sets: inInput('udp dport 64000 ct count over 100 drop', 'accept'), is: 'passes' },
  { name: 'the older iptables', sets: 'iptables-legacy -P INPUT DROP', is: 'dropped' },
  {
    name: 'nft at the underlay’s device',
    sets: atDevice('eth0', 'ip saddr 10.0.0.0/24 udp dport 64000 drop'),
    is: 'dropped',
  },
  {
    name: 'nft at the underlay’s device, of other networks',
    sets: atDevice('eth0', 'ip saddr 10.7.0.0/16 drop'),
    is: 'passes',
  },
  {
    name: 'nft at the underlay’s device, of both families',
    sets: nft(
      'table inet t { chain i { type filter hook ingress device "eth0" priority 0; policy drop; tcp dport 22 accept;\n}\n}',
    ),
    is: 'dropped',
  },
];

const boundMs = 30_000;
/** For a connection that a firewall swallows: nothing comes back, however long it is waited for. */
const swallowedSeconds = 0.6;
/** For one that gets there, on a machine that does much else. */
const arrivesSeconds = 20;

describe('what a firewall does with packets, as judged and as it is', function () {
  this.timeout(60_000);
  let host: Netns;
  let peer: Netns;
  let far: Netns;
  let container: Netns;

  before(function () {
    requires(this, ...hostTools, command('nft'), command('bash'));
  });

  beforeEach(() => {
    [host, peer, far, container] = ['fate', 'peer', 'far', 'container'].map((role) => new Namespace(role)) as [
      Netns,
      Netns,
      Netns,
      Netns,
    ];
    plug(host, 'eth0', '10.0.0.1/24', peer, '10.0.0.2/24');
    plug(host, 'vtep1024', '44.128.0.1/24', far, '44.128.0.2/24');
    plug(host, 'm-dcos', '9.0.0.1/25', container, '9.0.0.2/25');
    host.sh('sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0; ip route add 9.0.1.0/24 via 44.128.0.2');
    far.sh('ip address add 9.0.1.2/32 dev lo; ip route add 9.0.0.0/24 via 44.128.0.1 src 9.0.1.2');
    container.sh('ip route add default via 9.0.0.1');
  });

  afterEach(() => {
    for (const netns of [host, peer, far, container]) netns.remove();
  });

  /** Reads as the agent does, in the host's namespace. */
  async function filters() {
    const run: Runner = {
      run: (program, args, options) => processRunner.run('nsenter', [`--net=${host.path}`, program, ...args], options),
    };
    const reader = new FilterReader(run, { readText: async (path) => host.sh(`cat ${path}`) });
    return (await reader.read('iptables', await saveTables(run, 'iptables'))).tables;
  }

  for (const { name, sets, is } of forwarded) {
    it(`forwarded, ${name}: ${is}`, async () => {
      host.sh(sets);
      const ends = { own: readAddressRange('9.0.0.0/25'), all: readAddressRange('9.0.0.0/8') };
      const [drop] = forwardDrops(await filters(), 'vtep1024', 'm-dcos', 4, ends);
      assert.equal(drop === undefined ? 'passes' : drop.certain ? 'dropped' : 'may be dropped', is, drop?.says);
      const seconds = is === 'passes' ? arrivesSeconds : swallowedSeconds;
      const ways = await Promise.all([connects(far, '9.0.0.2', seconds), connects(container, '9.0.1.2', seconds)]);
      const arrives = ways.every(Boolean) ? 'passes' : 'dropped';
      if (is !== 'may be dropped') assert.equal(arrives, is, 'the kernel agrees');
    });
  }

  for (const { name, sets, is } of received) {
    it(`received, ${name}: ${is}`, async () => {
      host.sh(sets);
      const question = { underlay: 'eth0', local: '10.0.0.1', port: 64000, peer: '10.0.0.2' };
      const [drop] = tunnelDrops({ tables: await filters(), ...question });
      assert.equal(drop === undefined ? 'passes' : drop.certain ? 'dropped' : 'may be dropped', is, drop?.says);
      assert.equal((await receives()) ? 'passes' : 'dropped', is, 'the kernel agrees');
    });
  }

  /** Whether a connection gets there: a closed port refuses it. */
  async function connects(from: Netns, to: string, seconds: number): Promise<boolean> {
    const { stderr } = await from.run(['timeout', String(seconds), 'bash', '-c', `exec 3<>/dev/tcp/${to}/8080`]);
    return /refused/.test(stderr);
  }

  /** Whether a datagram gets to the host's sockets, of which none has the port. Counted behind and before the firewall. */
  async function receives(): Promise<boolean> {
    host.sh(
      atDevice('eth0', 'udp dport 64000 counter;')
        .replace('table netdev t', 'table netdev seen')
        .replace('priority 0', 'priority -500'),
    );
    const without = () => Number(/^Udp: \d+ (\d+)/m.exec(host.sh('cat /proc/net/snmp'))?.[1]);
    const before = without();
    peer.sh("bash -c 'echo x >/dev/udp/10.0.0.1/64000'");
    await until('the packet is there', boundMs, () =>
      /packets 1 /.test(host.sh('nft list table netdev seen')) ? true : undefined,
    );
    return without() > before;
  }
});

function plug(host: Netns, device: string, cidr: string, other: Netns, otherCidr: string): void {
  host.sh(
    `ip link add ${device} type veth peer name eth0 netns ${other.name} && ip address add ${cidr} dev ${device} && ip link set ${device} up`,
  );
  other.sh(`ip address add ${otherCidr} dev eth0 && ip link set eth0 up`);
}
