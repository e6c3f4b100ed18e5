/** What a network file of a CNI folder says of itself. */
import { cniMark, cniNetworkName } from '#host/desired/desired-cni.js';
import type { ObservedCniFile } from '#host/observe/observed.js';

export function cniFileOf(content: string): ObservedCniFile {
  const [mark, network] = [cniMark(content), cniNetworkName(content)];
  return { content, ...(mark === undefined ? {} : { mark }), ...(network === undefined ? {} : { network }) };
}
