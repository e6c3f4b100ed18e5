/** Every bound of the replicated plan, in one place. What goes beyond one is refused with its name and number. */
import { agentIdForm, memberNameForm } from '#text/name-form.js';

export const overlaysMax = 128;
/** Names of removed overlays that are remembered. */
export const removedOverlaysMax = 10_000;
export const agentIdLengthMax = agentIdForm.lengthMax;
export const instanceIdLengthMax = 64;
export const runIdLengthMax = 64;
export const statusErrorLengthMax = 1024;
export const releasedAtOnceMax = 1000;
export const reservationsMax = 10_000;
export const exclusionsMax = 1000;
export const historyMax = 10_000;
/** Earlier instances of an agent whose late retries are still recognized. */
export const formerInstancesMax = 4;
/** Branches of the log's history that are remembered: one for each change of the leader. */
export const branchesMax = 256;
/** The length of a branch in messages of masters and of clients. */
export const branchLengthMax = 64;
export const adoptionReasonLengthMax = 1024;
/** Tokens that are remembered. */
export const tokensMax = 1_000;
/** A day. */
export const tokenTtlMaxMs = 24 * 3600 * 1000;
/** Keys that may be certified with one token. */
export const tokenUsesMax = 100;
/** Certificates of one key with one token: a host whose answer was lost asks again, at each master once. */
export const certificatesPerKeyMax = 10;
/** Identities that are revoked. */
export const revocationsMax = 10_000;
/** ROLE/ID: a role of 16 characters, and an agent id. */
export const identityLengthMax = 270;
export const operatorNameLengthMax = 253;
export const masterNameLengthMax = memberNameForm.lengthMax;
/** A host name as DNS allows it, or a bracketed address, with a port. */
export const masterPeerLengthMax = 261;
/** The least that two halves of a piece need: network, gateway, a container and broadcast each. */
export const prefixMax = 28;
export const prefix6Max = 126;
export const vtepPrefixMin = 8;
export const vtepPrefixMax = 28;
export const mtuMin = 576;
/** IPv6 needs links of 1280 bytes (RFC 8200 §5). */
export const mtuMin6 = 1280;
export const mtuMax = 65535;
export const vniMax = 0xffffff;
/** Device names hold 15 characters. */
export const deviceNameLengthMax = 15;
export const defaultOverlayMtu = 1420;
export const defaultQuarantineMs = 15 * 60 * 1000;
/** A year. */
export const durationMaxMs = 366 * 24 * 3600 * 1000;
/** A lease must outlive a few keep-alives. */
export const reclaimMinMs = 30_000;
export const quarantineUnderReclaimMinMs = 15 * 60 * 1000;
