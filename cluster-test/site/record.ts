/**
 * An independent record of a storm: the input of each host's data plane, and what masters granted, in the order in
 * which it happened in this process. It knows nothing of how masters decide.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import type { HostInput } from '#host/input.js';

/** One host, a clone included. Hosts of one agent id are copies of one another. */
export type RecordedHost = { readonly name: string; readonly agentId: string };

/** `perhaps`: it may have been given back, and be another host's by now. */
type Holding = { readonly blocks: readonly string[]; readonly sinceMs: number; readonly perhaps: boolean };

/** Texts that are kept of what is wrong. */
const wrongMax = 20;
/** Events that are shown when a storm fails. */
const newestMax = 200;

export class SiteRecord {
  readonly #file: string;
  /** By host: the addresses that its data plane carries. A host that was taken away carries nothing. */
  readonly #carried = new Map<RecordedHost, readonly string[]>();
  /** By agent id: what was granted to it first, which it keeps until it leaves, and when that was. */
  readonly #held = new Map<string, Holding>();
  /** By host: the addresses of its peers by agent id, of the last input of its data plane. */
  readonly #peers = new Map<RecordedHost, ReadonlyMap<string, readonly string[]>>();
  readonly #wrong: string[] = [];
  #granted = 0;
  #checks = 0;

  /** `file` gets a JSON line for each event. */
  constructor(file: string) {
    this.#file = file;
  }

  get wrong(): readonly string[] {
    return this.#wrong;
  }

  /** Registrations that masters acknowledged. */
  get granted(): number {
    return this.#granted;
  }

  /** Comparisons of a host's addresses with those of all others. */
  get checks(): number {
    return this.#checks;
  }

  /** A master has acknowledged a registration of this host. */
  acknowledged(host: RecordedHost, blocks: readonly string[]): void {
    const { name, agentId } = host;
    this.#granted += 1;
    this.#write(host, 'granted', blocks);
    const { blocks: before = blocks, sinceMs = performance.now(), perhaps = false } = this.#held.get(agentId) ?? {};
    this.#held.set(agentId, { blocks, sinceMs, perhaps: false });
    if (!perhaps && before.join() !== blocks.join()) {
      this.wrongBy(`${name} was granted ${blocks.join(' ')}, and ${agentId} was granted ${before.join(' ')} before`);
    }
    this.#checks += 1;
    for (const [other, held] of this.#held) {
      const shared = other === agentId || held.perhaps ? [] : blocks.filter((block) => held.blocks.includes(block));
      if (shared.length > 0) this.wrongBy(`${shared.join(' ')} was granted to ${name}, while ${other} holds it`);
    }
  }

  /** The agent gave its data plane a new input. */
  told(host: RecordedHost, { lease, leaseValid, peers }: HostInput): void {
    this.#peers.set(host, new Map(peers.map(({ agentId, vtepIp, overlays }) => [agentId, blocksOf(vtepIp, overlays)])));
    const blocks = leaseValid ? blocksOf(lease.vxlan.vtepIp, lease.overlays) : [];
    if (blocks.join() === this.#carried.get(host)?.join()) return;
    this.#write(host, leaseValid ? 'carries' : 'down', blocks);
    this.#carried.set(host, blocks);
    this.#check(host, blocks);
  }

  /** The host may have given back what it was granted: what it is granted next can be something else. */
  perhapsLeft(host: RecordedHost): void {
    this.#write(host, 'perhaps left', []);
    const held = this.#held.get(host.agentId);
    if (held !== undefined) this.#held.set(host.agentId, { ...held, perhaps: true });
  }

  /** The host has given back what it was granted: what it is granted next can be something else. */
  left(host: RecordedHost): void {
    this.#write(host, 'left', []);
    this.#held.delete(host.agentId);
  }

  /** The host was taken away for good. */
  gone(host: RecordedHost): void {
    this.#write(host, 'gone', []);
    this.#carried.delete(host);
    this.#peers.delete(host);
  }

  /** What the host was granted; undefined: nothing, or it has left. */
  held({ agentId }: RecordedHost): readonly string[] | undefined {
    return this.#held.get(agentId)?.blocks;
  }

  /** When masters granted something to the host for the first time, on `performance.now()`. */
  firstGrantedAt({ agentId }: RecordedHost): number | undefined {
    return this.#held.get(agentId)?.sinceMs;
  }

  /** The addresses of the host's peers, by agent id. */
  peersOf(host: RecordedHost): ReadonlyMap<string, readonly string[]> {
    return this.#peers.get(host) ?? new Map();
  }

  carries(host: RecordedHost): boolean {
    return (this.#carried.get(host)?.length ?? 0) > 0;
  }

  /** Notes what is wrong. */
  wrongBy(what: string): void {
    this.#write({ name: '', agentId: '' }, what, []);
    if (this.#wrong.length < wrongMax) this.#wrong.push(what);
  }

  /** A step of the storm has ended. */
  step(what: string, tookMs: number): void {
    this.#write({ name: '', agentId: '' }, `${what}, ${Math.round(tookMs)} ms`, []);
  }

  /** The newest events, oldest first, a JSON line each. */
  get newest(): readonly string[] {
    return readFileSync(this.#file, 'utf8').trimEnd().split('\n').slice(-newestMax);
  }

  /** Another check compared the inputs of two hosts. */
  compared(): void {
    this.#checks += 1;
  }

  /** No other agent's host may carry one of these. Copies of one host are judged by their processes instead. */
  #check(host: RecordedHost, blocks: readonly string[]): void {
    this.#checks += 1;
    for (const [other, carried] of this.#carried) {
      if (other.agentId === host.agentId) continue;
      const shared = blocks.filter((block) => carried.includes(block));
      if (shared.length > 0) this.wrongBy(`${shared.join(' ')} is carried by ${host.name} and ${other.name}`);
    }
  }

  #write(host: RecordedHost, kind: string, blocks: readonly string[]): void {
    appendFileSync(
      this.#file,
      `${JSON.stringify({ atMs: Math.round(performance.now()), host: host.name, kind, blocks })}\n`,
    );
  }
}

/** What a host holds, or a peer: its VTEP address and its subnets. */
export function blocksOf(vtepIp: string, overlays: readonly { readonly subnet?: string | null }[]): readonly string[] {
  const [address = ''] = vtepIp.split('/');
  return [address, ...overlays.flatMap(({ subnet }) => subnet ?? [])];
}
