/**
 * The events for watchers. A command that changes something has one revision and any number of events, which belong
 * together; they stand in the order in which a watcher should take them in.
 */

import type { AgentId } from '#ipam/identity.js';
import type { Network, Overlay } from '#ipam/network.js';
import type { AgentThen } from '#ipam/view/agent-view.js';

/** The agent as it is now (`viewAgent`). `statusOnly`: nothing that concerns a peer has changed. */
type AgentChanged = { readonly kind: 'agent-changed'; readonly agent: AgentThen; readonly statusOnly: boolean };
type AgentRemoved = { readonly kind: 'agent-removed'; readonly agentId: AgentId };
/** What every agent's `info` of this overlay says changes with it, without an event for each. */
type OverlayChanged = { readonly kind: 'overlay-changed'; readonly overlay: Overlay };
type OverlayRemoved = { readonly kind: 'overlay-removed'; readonly name: string };
/** What every agent's `vxlan` derives from the settings changes with them, without an event for each. */
type NetworkChanged = { readonly kind: 'network-changed'; readonly network: Network };

/** What happened, without its revision. */
export type Happening = AgentChanged | AgentRemoved | OverlayChanged | OverlayRemoved | NetworkChanged;

export type Event = { readonly revision: number } & Happening;
