/**
 * `sublet/raft/contracts`: what every store, network and clock of `sublet/raft` does, as cases for any test runner. Its
 * page is docs/raft-package.md.
 */
export { type ContractClock, clockContract } from '#replica/contracts/clock-contract.js';
export type { ContractCase, Subject } from '#replica/contracts/contract.js';
export { type ContractLogStore, logStoreContract } from '#replica/contracts/log-store-contract.js';
export { type ContractPeers, peerNetworkContract } from '#replica/contracts/peer-network-contract.js';
