/** The commands that open a firewall for the overlays, in the words of the tool that the firewall belongs to. */
import type { DropPlace } from '#host/filter/packet-fate.js';

/** What a site changes its firewall with. */
export type FirewallTool = 'firewalld' | 'ufw' | 'docker' | 'iptables' | 'nft';

/** Found by the chains that each of them makes. */
export function toolOf({ table, chain, base }: DropPlace): FirewallTool {
  const names = [...table.chains.keys()];
  if (table.name === 'firewalld' || names.includes('INPUT_ZONES') || names.includes('FORWARD_IN_ZONES')) {
    return 'firewalld';
  }
  if (table.name === 'docker-bridges' || chain.name.startsWith('DOCKER')) return 'docker';
  const isOfUfw = chain.name.startsWith('ufw') || (chain === base && names.some((name) => /^ufw6?-/.test(name)));
  return isOfUfw ? 'ufw' : table.tool.kind;
}

/** The rule or policy that drops, and where it stands. */
export function placeWords({ table, chain, base, rule }: DropPlace): string {
  const via = chain === base ? '' : `, called from ${base.name}`;
  const what = rule === undefined ? `the policy DROP of` : `the rule "${rule.text}" in`;
  if (table.tool.kind === 'iptables') {
    return `${what} the chain ${chain.name}${via} (${table.tool.command}, table ${table.name})`;
  }
  return `${what} the chain ${chain.name}${via} (see "nft list chain ${table.family} ${table.name} ${chain.name}")`;
}

/** Accepts UDP to `port`. */
export function openPort(place: DropPlace, port: number): string {
  const { table, base } = place;
  switch (toolOf(place)) {
    case 'firewalld':
      return portCommands(port).firewalld;
    case 'ufw':
      return portCommands(port).ufw;
    case 'docker':
    case 'iptables':
      if (table.tool.kind === 'iptables') {
        return `${table.tool.command} -t ${table.name} -I ${base.name} -p udp --dport ${port} -j ACCEPT`.replace(
          '-t filter ',
          '',
        );
      }
      return `nft insert rule ${table.family} ${table.name} ${base.name} udp dport ${port} accept`;
    case 'nft':
      return `nft insert rule ${table.family} ${table.name} ${base.name} udp dport ${port} accept`;
  }
}

/** The same for each tool, where it is not known which one the host has. */
export function portCommands(port: number) {
  return {
    iptables: `iptables -I INPUT -p udp --dport ${port} -j ACCEPT`,
    nft: `nft insert rule inet filter input udp dport ${port} accept`,
    firewalld: `firewall-cmd --permanent --add-port=${port}/udp && firewall-cmd --reload`,
    ufw: `ufw allow ${port}/udp`,
  } as const;
}

/** `iptables: …; nft: …` */
export function portCommandWords(port: number): string {
  return Object.entries(portCommands(port))
    .map(([tool, command]) => `${tool}: "${command}"`)
    .join('; ');
}

/** Accepts traffic between the tunnel and a bridge. */
export function openForward(place: DropPlace, vtep: string, bridge: string): string {
  const { table, base } = place;
  switch (toolOf(place)) {
    case 'firewalld':
      return `firewall-cmd --permanent --zone=trusted --add-interface=${vtep} --add-interface=${bridge} && firewall-cmd --reload`;
    case 'ufw':
      return `ufw route allow in on ${vtep} && ufw route allow in on ${bridge}`;
    case 'docker':
      return `docker network rm the network, stopped and idle, which Sublet makes anew with gateway_mode_ipv4=nat-unprotected`;
    case 'iptables':
    case 'nft': {
      if (table.tool.kind === 'nft') {
        const insert = `nft insert rule ${table.family} ${table.name} ${base.name}`;
        const hook = base.base?.hook;
        // Each of these knows one device of a packet alone, and may be a hook of the tunnel or of the bridge.
        if (hook === 'ingress' || hook === 'egress') {
          const name = hook === 'ingress' ? 'iifname' : 'oifname';
          return `${insert} ${name} ${vtep} accept && ${insert} ${name} ${bridge} accept`;
        }
        return `${insert} iifname ${vtep} accept && ${insert} oifname ${vtep} accept`;
      }
      const insert = `${table.tool.command} -t ${table.name} -I ${base.name}`.replace('-t filter ', '');
      // Before routing there is no way out yet, and after it no way in.
      if (base.name === 'PREROUTING') return `${insert} -i ${vtep} -j ACCEPT`;
      if (base.name === 'POSTROUTING') return `${insert} -o ${vtep} -j ACCEPT && ${insert} -o ${bridge} -j ACCEPT`;
      return `${insert} -i ${vtep} -j ACCEPT && ${insert} -o ${vtep} -j ACCEPT`;
    }
  }
}
