/**
 * The packet filters of a host, of iptables and nftables alike, as far as they decide on the packets of the overlays.
 * What a rule tests that is not modelled here is `unknown`, so that no verdict is drawn from it.
 */
import type { Family } from '#address/ip.js';

export type ObservedFilters = {
  readonly tables: readonly FilterTable[];
  /** What could not be read, and why; it may hold a drop that is not in the result. */
  readonly unread: readonly string[];
};

/** `ingress` and `egress` belong to devices: before a device's packets get to the others, and after. */
export type Hook = 'ingress' | 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting' | 'egress';

export type FilterTable = {
  /** How it is listed and changed: by a command of the iptables family, or by `nft`. */
  readonly tool: { readonly kind: 'iptables'; readonly command: string } | { readonly kind: 'nft' };
  /** nftables' word for it; `inet` is both families, and `netdev` all that comes and goes by a device. */
  readonly family: 'ip' | 'ip6' | 'inet' | 'netdev';
  readonly name: string;
  /** By name. */
  readonly chains: ReadonlyMap<string, FilterChain>;
};

export type FilterChain = {
  readonly name: string;
  /** Where the kernel calls it; absent: only other chains do. */
  readonly base?: BaseChain;
  readonly rules: readonly FilterRule[];
};

export type BaseChain = {
  readonly hook: Hook;
  /** Lower ones come first. An accept ends this chain only; a drop is final. */
  readonly priority: number;
  readonly policy: 'accept' | 'drop';
  /** The devices that the hook is of; absent: all. */
  readonly devices?: readonly string[];
};

export type FilterRule = {
  /** As it is shown to people. */
  readonly text: string;
  /** All of them must hold. */
  readonly when: readonly Condition[];
  readonly verdict: Verdict;
};

export type Verdict =
  | { readonly kind: 'accept' | 'drop' | 'return' | 'continue' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  /** May end the packet's way, or not. */
  | { readonly kind: 'unknown' };

export type Condition = ConditionTest & { readonly negated: boolean };

export type ConditionTest =
  /** Names of devices; a final `*` stands for any rest. */
  | { readonly kind: 'device'; readonly side: 'in' | 'out'; readonly names: readonly string[] }
  | { readonly kind: 'address'; readonly side: 'source' | 'destination'; readonly ranges: readonly AddressRange[] }
  /** Numbers as names: `udp`. */
  | { readonly kind: 'protocol'; readonly names: readonly string[] }
  | { readonly kind: 'port'; readonly side: 'source' | 'destination'; readonly ranges: readonly PortRange[] }
  /** Of connection tracking, in lower case. */
  | { readonly kind: 'state'; readonly states: readonly string[] }
  | { readonly kind: 'family'; readonly family: Family }
  /** Type of the destination, in lower case: `local`, `multicast`, … */
  | { readonly kind: 'destination-type'; readonly types: readonly string[] }
  /** All of one of these. */
  | { readonly kind: 'one-of'; readonly cases: readonly (readonly Condition[])[] }
  /** What holds, or not, for every packet that is asked about. */
  | { readonly kind: 'constant'; readonly holds: boolean }
  | { readonly kind: 'unknown' };

export type AddressRange = {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
};

export type PortRange = {
  readonly first: number;
  readonly last: number;
};

/** The first packet of a connection that is new to this host. */
export type Packet = {
  readonly family: Family;
  /** Device that it came in by; absent: this host sends it. A final `*` stands for any rest. */
  readonly in?: string;
  /** Device that it leaves by; absent: it is for this host. */
  readonly out?: string;
  /** Absent: not known. A range stands for any address in it. */
  readonly source?: AddressRange;
  readonly destination?: AddressRange;
  readonly protocol: 'tcp' | 'udp';
  /** Destination port; absent: one above 1023, and none in particular. */
  readonly port?: number;
};
