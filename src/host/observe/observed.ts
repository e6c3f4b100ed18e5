/**
 * How the host looks, as plain data: what `observe` read, and what `predict` says it would be after some steps.
 * A part that could not be read is `unreadable` with the reason, so that "not there" and "can't tell" stay apart.
 */
import type { Cidr, Family } from '#address/ip.js';
import type { DockerEngineFacts } from '#host/desired/desired-docker.js';
import type { ObservedFilters } from '#host/filter/filter-table.js';
import { forwardPath } from '#host/tools/sysctl-path.js';

export type ObservedHost = {
  readonly surroundings: Surroundings;
  /** By name. */
  readonly links: ReadonlyMap<string, ObservedLink>;
  /** Our permanent neighbours on the VTEP device: address → MAC. */
  readonly neighbours: ReadonlyMap<string, string>;
  /** FDB entries with a destination on the VTEP device: MAC → node address; several as `a b`. */
  readonly fdb: ReadonlyMap<string, string>;
  /** Our routes in the main table: subnet → VTEP address. */
  readonly routes: ReadonlyMap<string, string>;
  /** Our routes in the source table. */
  readonly sourceRoutes: ReadonlyMap<string, string>;
  /** Routes of others inside overlays, and all of theirs in the source table. */
  readonly strangers: readonly StrangerRoute[];
  /** Of some peers' subnets: the ways of containers' packets that do not lead to the tunnel. */
  readonly detours: readonly Detour[];
  /** Our rules: source → how many times it is there, which should be once. */
  readonly rules: ReadonlyMap<string, number>;
  /** Path under /proc/sys → value; what does not exist is not there. */
  readonly sysctls: ReadonlyMap<string, string>;
  /** Devices whose IPv6 default route came by router advertisement, while they accept those only as a host does. */
  readonly raDevices: readonly string[];
  readonly sets: Readable<ReadonlyMap<string, ObservedSet>>;
  readonly tables: Readonly<Record<Family, Readable<ObservedTables>>>;
  /** All packet filters, ours and others'. */
  readonly filters: ObservedFilters;
  readonly cni: Readable<ReadonlyMap<string, ObservedCniFile>>;
  /** The same of further CNI folders, by folder. */
  readonly cniBeside: ReadonlyMap<string, Readable<ReadonlyMap<string, ObservedCniFile>>>;
  /**
   * By CNI folder: the overlay whose file came first when this host was first looked at, or was written then. It stays
   * when the file is damaged or removed, as long as the overlay is held.
   */
  readonly cniFirst: ReadonlyMap<string, string>;
  readonly docker: ObservedDocker;
  /** Path → content, of what may be ours in the run folder, and flannel's file. */
  readonly runFiles: Readable<ReadonlyMap<string, string>>;
};

/** What the host reaches beside the overlays. Addresses are canonical text. */
export type Surroundings = {
  /** Of the default routes. */
  readonly gateways: readonly string[];
  /** That default routes go out of. */
  readonly defaultDevices: readonly string[];
  readonly resolvers: readonly string[];
  readonly masters: readonly string[];
};

export type Detour = {
  /** A peer's subnet. */
  readonly subnet: string;
  /** What `ip route get` prints of an address in it. */
  readonly line: string;
};

export type StrangerRoute = {
  readonly destination: Cidr;
  /** Empty for a route that leads nowhere (`blackhole`). */
  readonly device: string;
  readonly table: 'main' | 'source';
  /** As `ip` prints it. */
  readonly line: string;
};

export type Readable<Value> =
  | { readonly kind: 'read'; readonly value: Value }
  /** `error` names the cause and, where there is one, the way out. */
  | { readonly kind: 'unreadable'; readonly error: string }
  /** Nothing that is desired needs it, so it was not read. */
  | { readonly kind: 'unasked' };

export type ObservedLink = {
  readonly name: string;
  readonly index?: number;
  readonly kind: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly alias?: string;
  /** Name of the bridge it is a port of. */
  readonly master?: string;
  /** How IPv6 link-local addresses are made: `none`, `eui64`, … */
  readonly addressGeneration?: string;
  /** Addresses with prefix, link-local ones left out. */
  readonly addresses: readonly string[];
  readonly vxlan?: { readonly vni: number; readonly port: number; readonly local?: string; readonly learning: boolean };
};

export type ObservedSet = {
  readonly type: string;
  readonly family: Family;
  /** Whether entries can carry a comment, which marks ours. */
  readonly comments: boolean;
  readonly entries: ReadonlyMap<string, ObservedEntry>;
};

export type ObservedEntry = {
  readonly nomatch: boolean;
  readonly comment?: string;
};

const plain: ObservedEntry = { nomatch: false };
const plainNomatch: ObservedEntry = { nomatch: true };

/** An entry without a comment: one object for all of them. */
export function plainEntry(nomatch: boolean): ObservedEntry {
  return nomatch ? plainNomatch : plain;
}

/** What concerns us of one family's rules; each rule is its words after the chain's name, joined by spaces. */
export type ObservedTables = {
  /** nat POSTROUTING. */
  readonly postrouting: readonly string[];
  /** filter FORWARD. */
  readonly forward: readonly string[];
  /** filter DOCKER-USER; absent: no such chain, or FORWARD does not jump to it. */
  readonly dockerUser?: readonly string[];
  /** Our chain; absent: no such chain. */
  readonly ours?: readonly string[];
  /** raw PREROUTING. */
  readonly prerouting: readonly string[];
  /** The guard's chain in the table raw; absent: no such chain. */
  readonly guard?: readonly string[];
  /** Whether MASQUERADE can pick ports at random, which avoids collisions under load. */
  readonly randomFully: boolean;
  /** Tables with rules that iptables can not print; absent: none. */
  readonly incompatible?: readonly string[];
};

export type ObservedCniFile = {
  readonly content: string;
  /** Whose it is; absent: not Sublet's. */
  readonly mark?: string;
  /** The network that it describes; absent: none that can be read. */
  readonly network?: string;
};

export type ObservedDocker =
  | {
      readonly kind: 'read';
      readonly engine: DockerEngineFacts;
      readonly networks: ReadonlyMap<string, ObservedDockerNetwork>;
    }
  /** `socket`: its path, where nothing is. */
  | { readonly kind: 'unreadable'; readonly error: string; readonly socket?: string }
  | { readonly kind: 'unasked' };

export type ObservedDockerNetwork = {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly subnets: readonly string[];
  readonly options: Readonly<Record<string, string>>;
  /** Mark of the cluster that made it; absent: not Sublet's. */
  readonly mark?: string;
  /** Names of the running containers on it. */
  readonly containers: readonly string[];
};

const empty: ReadonlyMap<string, never> = new Map<string, never>();

/** A host with nothing of ours on it: what a plan starts from where the real one can't be read. */
export const bareHost: ObservedHost = {
  surroundings: { gateways: [], defaultDevices: [], resolvers: [], masters: [] },
  links: empty,
  neighbours: empty,
  fdb: empty,
  routes: empty,
  sourceRoutes: empty,
  strangers: [],
  detours: [],
  rules: empty,
  sysctls: new Map([
    [forwardPath[4], '0'],
    [forwardPath[6], '0'],
  ]),
  raDevices: [],
  sets: { kind: 'read', value: empty },
  tables: {
    4: { kind: 'read', value: { postrouting: [], forward: [], prerouting: [], randomFully: true } },
    6: { kind: 'read', value: { postrouting: [], forward: [], prerouting: [], randomFully: true } },
  },
  filters: { tables: [], unread: [] },
  cni: { kind: 'read', value: empty },
  cniBeside: empty,
  cniFirst: empty,
  docker: { kind: 'read', engine: { version: [0, 0], firewall: 'iptables' }, networks: empty },
  runFiles: { kind: 'read', value: empty },
};
