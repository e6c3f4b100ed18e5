/**
 * No address in two live hands: the input of each host's data plane, as the agents themselves gave it. A host counts
 * while its agent runs and says that the lease is good. One that sleeps carries nothing; after it wakes its agent has
 * the time of one look at the clock to find that the lease has ended.
 */
import type { SimulatedAgent } from '#cluster-test/simulation/world/simulated-agent.js';
import type { World } from '#cluster-test/simulation/world/world.js';
import type { HostInput } from '#host/input.js';

/** `LeaseTerm` asks the boot clock every 5 s, and the host gets its new input within 100 ms. */
const lookMs = 5_100;

export class LiveHands {
  readonly #world: World;
  readonly #carried = new Map<SimulatedAgent, readonly string[]>();
  readonly #sleeping = new Map<SimulatedAgent, readonly string[]>();
  readonly #excusedUntilMs = new Map<SimulatedAgent, number>();
  /** The life of the cluster that has granted what each host carries. */
  readonly #lives = new Map<SimulatedAgent, number>();
  /**
   * The present one began with disks that were put back: until an agent has registered, no master can know what it was
   * granted since.
   */
  #life = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** All disks were put back, and another life of the cluster began. */
  wentBack(life: number): void {
    this.#life = life;
  }

  get life(): number {
    return this.#life;
  }

  /** Hosts that carry what was granted in a life that is lost. */
  get unheard(): readonly SimulatedAgent[] {
    return [...this.#carried.keys()].filter((agent) => this.#isUnheard(agent));
  }

  told(agent: SimulatedAgent, { lease, leaseValid }: HostInput): void {
    if (!leaseValid) {
      this.#world.count('mark: a data plane went down at the end of its lease');
      this.gone(agent);
      return;
    }
    const vtep = `vtep ${lease.vxlan.vtepIp.replace(/\/\d+$/, '')}`;
    const subnets = lease.overlays.flatMap(({ name, subnet }) => (subnet === undefined ? [] : [`${name} ${subnet}`]));
    this.#carried.set(agent, [vtep, ...subnets]);
    this.#lives.set(agent, agent.leaseLife);
    this.#check(agent);
  }

  /** The masters have taken a keep-alive for the lease that it carries. */
  keptAlive(agent: SimulatedAgent): void {
    this.#lives.set(agent, agent.leaseLife);
  }

  gone(agent: SimulatedAgent): void {
    this.#carried.delete(agent);
    this.#sleeping.delete(agent);
  }

  asleep(agent: SimulatedAgent): void {
    const carried = this.#carried.get(agent);
    if (carried !== undefined) this.#sleeping.set(agent, carried);
    this.#carried.delete(agent);
  }

  awake(agent: SimulatedAgent): void {
    const carried = this.#sleeping.get(agent);
    this.#sleeping.delete(agent);
    if (carried === undefined) return;
    this.#carried.set(agent, carried);
    const lookAtMs = lookMs / agent.machine.rate;
    this.#excusedUntilMs.set(agent, this.#world.time.now() + lookAtMs);
    this.#world.time.after(lookAtMs + 1, () => {
      if (this.#carried.has(agent) && agent.process?.paused === false) this.#check(agent);
    });
  }

  full(): void {
    for (const agent of this.#carried.keys()) this.#check(agent);
  }

  #check(agent: SimulatedAgent): void {
    const own = this.#carried.get(agent) ?? [];
    for (const [other, carried] of this.#carried) {
      if (other === agent || this.#excused(other) || this.#excused(agent)) continue;
      const shared = own.find((address) => carried.includes(address));
      const what = () => `${shared} is carried by ${agent.machine.name} and ${other.machine.name}`;
      this.#world.check(shared === undefined, 'no address in two live hands', what);
    }
  }

  #isUnheard(agent: SimulatedAgent): boolean {
    return (this.#lives.get(agent) ?? 0) < this.#life;
  }

  #excused(agent: SimulatedAgent): boolean {
    return this.#isUnheard(agent) || (this.#excusedUntilMs.get(agent) ?? 0) > this.#world.time.now();
  }
}
