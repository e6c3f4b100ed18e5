/**
 * Sums over sets: the CRC-32 values of all members added up modulo 2^48, so that a member can be added and taken out in
 * any order. Kept in the head, they show a record that is missing, stale or resurrected, where the record's own CRC-32
 * shows only that its bytes are whole.
 */

const modulus = 2 ** 48;

export function addToSum(total: number, crc: number): number {
  return (total + crc) % modulus;
}

export function takeFromSum(total: number, crc: number): number {
  return (total - crc + modulus) % modulus;
}

export function hex32(value: number): string {
  return value.toString(16).padStart(8, '0');
}
