/** Keeps one copy of what thousands of records have in common: most of the memory that a large plan would need. */
import type { NetworkConfig } from '#ipam/view/full-agent.js';

/** Texts and settings that thousands of records share are kept once; there is one such table per plan. */
export class Interning {
  readonly #texts = new Map<string, string>();
  readonly #configs = new Map<number, NetworkConfig>();

  text(value: string): string {
    const known = this.#texts.get(value);
    if (known === undefined) this.#texts.set(value, value);
    return known ?? value;
  }

  networkConfig(config: NetworkConfig): NetworkConfig {
    const { allocateSubnet, mesosBridge, dockerBridge, enableIpv6, overlayMtu, split } = config;
    const wishes = [allocateSubnet, mesosBridge, dockerBridge, enableIpv6, split];
    const key = wishes.reduce((bits, wish) => bits * 2 + Number(wish), overlayMtu);
    const known = this.#configs.get(key);
    if (known === undefined) this.#configs.set(key, config);
    return known ?? config;
  }
}
