/**
 * The name of an overlay. It is also the name of a CNI network and of a Docker network, the end of two device names, and a
 * word that Podman and Nomad take after `--network` and `cni/`: the rule is what all of them accept.
 */

/** `m-` and `d-` with 13 more make the 15 characters of a device name. */
export const overlayNameLengthMax = 13;
/** CNI, Docker and Podman take no name that begins with a hyphen. */
export const overlayNameForm = /^[a-z0-9][a-z0-9-]{0,12}$/;
export const overlayNameAllowed = `1 to ${overlayNameLengthMax} characters of [a-z0-9-] with no hyphen first`;
/**
 * Networks that an engine has of its own (CNI network names share one folder of host-local's addresses), and words that
 * an engine takes for a mode instead of a name.
 */
export const overlayNamesReserved: readonly string[] = [
  ...['host', 'bridge', 'default', 'none'],
  ...['cni-loopback', 'container', 'crio', 'nomad', 'ns', 'pasta', 'podman', 'private', 'slirp4netns'],
];

/** What keeps an overlay from having this name, said of the name; undefined: nothing does. */
export function overlayNameProblem(name: string): string | undefined {
  const shown = JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name);
  const allowed = `${overlayNameAllowed} are allowed`;
  if (name.length === 0) return `the name is empty: ${allowed}`;
  if (name.length > overlayNameLengthMax) return `${shown} has ${name.length} characters: ${allowed}`;
  if (name.startsWith('-')) return `${shown} begins with a hyphen, which container engines refuse: ${allowed}`;
  if (!overlayNameForm.test(name)) return `${shown} has other characters: ${allowed}`;
  if (overlayNamesReserved.includes(name)) {
    return `${shown} is reserved by a container engine: not ${overlayNamesReserved.join(', ')}`;
  }
  return undefined;
}
