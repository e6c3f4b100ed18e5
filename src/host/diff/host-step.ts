/**
 * One change to the host. A step is data: it can be printed as the command a person would run, run by `apply`, and
 * predicted on an observed host by `predict`.
 */
import type { Family } from '#address/ip.js';
import type { DesiredDevice } from '#host/desired/desired.js';
import type { DockerNetworkRequest } from '#host/desired/desired-docker.js';
import type { SetType } from '#host/desired/desired-firewall.js';
import type { Part, Scope } from '#host/problem.js';

export type Step = StepAction & {
  readonly scope: Scope;
  readonly part: Part;
};

export type StepAction =
  | { readonly kind: 'sysctl'; readonly path: string; readonly value: string }
  | { readonly kind: 'device-create'; readonly device: DesiredDevice; readonly mark: string }
  | {
      readonly kind: 'bridge-create';
      readonly name: string;
      readonly mac: string;
      readonly mtu: number;
      readonly mark: string;
    }
  | { readonly kind: 'link-delete'; readonly name: string }
  | { readonly kind: 'link-set'; readonly name: string; readonly set: LinkSetting }
  | { readonly kind: 'address'; readonly action: 'add' | 'del'; readonly cidr: string; readonly device: string }
  | {
      readonly kind: 'neighbour';
      readonly action: 'replace' | 'del';
      readonly ip: string;
      readonly mac: string;
      readonly device: string;
    }
  | {
      readonly kind: 'fdb';
      readonly action: 'replace' | 'del';
      readonly mac: string;
      readonly dst: string;
      readonly device: string;
    }
  /** `add` refuses to displace a foreign route to the same subnet; `replace` is for our own. */
  | {
      readonly kind: 'route';
      readonly action: 'add' | 'replace' | 'del';
      readonly subnet: string;
      readonly via: string;
      readonly device: string;
      readonly table: RouteTable;
    }
  | { readonly kind: 'rule'; readonly action: 'add' | 'del'; readonly source: string }
  | { readonly kind: 'set-create'; readonly name: string; readonly family: Family; readonly type: SetType }
  | { readonly kind: 'set-destroy'; readonly name: string }
  | {
      readonly kind: 'set-entry';
      readonly action: 'add' | 'del';
      readonly set: string;
      readonly entry: string;
      readonly nomatch: boolean;
      readonly comment?: string;
    }
  | {
      readonly kind: 'filter-rule';
      readonly action: 'append' | 'insert' | 'delete';
      readonly family: Family;
      readonly table: 'nat' | 'filter' | 'raw';
      readonly chain: string;
      readonly rule: string;
    }
  /** Makes our chain hold exactly these rules. */
  | {
      readonly kind: 'chain-set';
      readonly family: Family;
      readonly table: ChainTable;
      readonly chain: string;
      readonly rules: readonly string[];
    }
  | { readonly kind: 'chain-delete'; readonly family: Family; readonly table: ChainTable; readonly chain: string }
  | { readonly kind: 'cni-write'; readonly dir: string; readonly name: string; readonly content: string }
  | { readonly kind: 'cni-delete'; readonly dir: string; readonly name: string }
  | { readonly kind: 'file-write'; readonly path: string; readonly content: string }
  | { readonly kind: 'file-delete'; readonly path: string }
  | { readonly kind: 'docker-create'; readonly request: DockerNetworkRequest }
  | { readonly kind: 'docker-delete'; readonly name: string; readonly id: string };

export type ChainTable = 'filter' | 'raw';

export type RouteTable = 'main' | 'source';

export type LinkSetting =
  | { readonly kind: 'up' }
  | { readonly kind: 'down' }
  | { readonly kind: 'mac'; readonly mac: string }
  | { readonly kind: 'mtu'; readonly mtu: number }
  | { readonly kind: 'alias'; readonly alias: string }
  | { readonly kind: 'no-link-local' }
  | { readonly kind: 'local'; readonly local: string };

export type StepKind = Step['kind'];
