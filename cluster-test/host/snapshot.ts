/** Everything on a host that Sublet has a hand in, as one text that is equal for equal hosts. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Netns } from '#cluster-test/host/netns.js';

/** Numbers that differ between equal hosts (indexes, counters, seeds, ids) are taken out. */
export function snapshot(host: Netns, cniDir: string): string {
  const seen = host.sh(`
    for family in -4 -6; do ip $family route show table all | grep -v 'table local'; ip $family rule show; done
    ip neigh show nud permanent; bridge fdb show dev vtep1024 2>/dev/null
    ip -d link show type vxlan; ip -br link show type bridge; ip address show dev vtep1024 2>/dev/null | grep -w inet
    ip -6 address show dev vtep1024 scope global 2>/dev/null | grep inet6
    iptables-save; ip6tables-save; ipset save
    sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding; cat /proc/sys/net/ipv4/conf/[vmd]*/rp_filter`);
  const lines = seen
    .split('\n')
    .filter((line) => !/^#|^:|^\*|^COMMIT|bucketsize/.test(line))
    .map((line) =>
      line
        .replace(/^\d+: vtep/, 'vtep')
        .replace(/\bqlen \d+|initval \S+| (?:[0-9a-f]{2}:){5}[0-9a-f]{2} <.*/g, '')
        .trim(),
    );
  const files = existsSync(cniDir)
    ? readdirSync(cniDir).map((name) => `${name} ${readFileSync(join(cniDir, name), 'utf8')}`)
    : [];
  return [...lines.filter((line) => line !== '' && !line.includes('linkdown')), ...files].toSorted().join('\n');
}
