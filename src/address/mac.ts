/**
 * Ethernet addresses as 48-bit numbers, their text, and the one way Sublet makes them: a three-byte organisation
 * prefix (OUI) and the low 24 bits of the VTEP's IPv4 address.
 */
import { AddressError, type Brand } from '#address/brand.js';
import type { Ipv4 } from '#address/ipv4.js';

/** An Ethernet (EUI-48) address: 0 … 2^48 − 1, first byte on the wire highest. */
export type Mac = Brand<number, 'Mac'>;

/** An address whose low three bytes are zero and that names a station, not a group. */
export type Oui = Brand<Mac, 'Oui'>;

const low24 = 0x1000000;
const groupBit = 0x010000000000;

/** The address with this number; throws `AddressError` outside 0 … 2^48 − 1. */
export function mac(value: number): Mac {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 48) {
    throw new AddressError(String(value), 'is not a MAC address: a whole number from 0 to 2^48 − 1 is allowed');
  }
  return value as Mac; // Brand constructor: checked.
}

/** Reads `70:B3:D5:80:00:01` in either case; throws `AddressError` for anything else. */
export function parseMac(text: string): Mac {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) {
    throw new AddressError(text, 'is not a MAC address: six pairs of hexadecimal digits, like 70:b3:d5:80:00:01');
  }
  return mac(Number.parseInt(text.replaceAll(':', ''), 16));
}

/** `70:b3:d5:80:00:01`. */
export function formatMac(address: Mac): string {
  const digits = address.toString(16).padStart(12, '0');
  return (digits.match(/../g) ?? []).join(':');
}

/** The address as an OUI; throws `AddressError` when a low byte is set or it is a multicast prefix. */
export function oui(address: Mac): Oui {
  if (address % low24 !== 0) {
    throw new AddressError(
      formatMac(address),
      'is not an OUI: its low three bytes must be zero, like 70:b3:d5:00:00:00',
    );
  }
  // The lowest bit of the first byte marks group addresses (IEEE 802); a device can't have one.
  if (Math.floor(address / groupBit) % 2 === 1) {
    throw new AddressError(formatMac(address), 'is a multicast prefix: the first byte must be even');
  }
  return address as Oui; // Brand constructor: checked.
}

/** Reads an OUI, `70:B3:D5:00:00:00`; throws `AddressError` for anything else. */
export function parseOui(text: string): Oui {
  return oui(parseMac(text));
}

/** The MAC of a VTEP: the OUI and the low 24 bits of its address. 44.128.0.1 → 70:b3:d5:80:00:01. */
export function macFor(prefix: Oui, vtepIp: Ipv4): Mac {
  return mac(prefix + (vtepIp % low24));
}
