/**
 * What a command has done to the records on disk. Keys are 1–512 bytes; the replica stores these changes together with
 * the index of the command.
 */

/** A record put (`value`) or deleted (`value` undefined). */
export type PlanRecordChange = { readonly key: Uint8Array; readonly value: Uint8Array | undefined };
