/** A subnet as an argument of a command. */
import { formatCidr, parseCidr } from '#address/ip.js';
import { argument } from '#cli/failure.js';

/** The canonical text of an IPv4 or IPv6 network. @throws Failure, as wrong use */
export function subnetArgument(text: string, name = 'SUBNET'): string {
  return formatCidr(argument(name, text, parseCidr));
}
