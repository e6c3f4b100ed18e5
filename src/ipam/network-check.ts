/**
 * Which networks are sound (DESIGN §6, Network): names, prefixes, and that no address space overlaps another.
 */
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import type { Refusal } from '#ipam/result.js';

/** The first thing wrong with this network, or undefined. Fields are named as in the configuration file. */
export declare function checkNetwork(settings: NetworkSettings, overlays: readonly Overlay[]): Refusal | undefined;
