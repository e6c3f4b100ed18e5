/** Kernel modules behind iptables and ipset, and how a host gets one that it lacks. */

/** What tools say when the kernel has not what they ask for. */
export const lacksModule =
  /missing kernel module|Extension \S+( revision \d+)? not supported|RULE_\w+ failed \((No such file|Invalid argument|Operation not supported)|No chain\/target\/match by that name|Couldn't load (match|target)|can't initialize ip6?tables|Cannot open session to kernel|set type not supported|Protocol not supported|match "?set"?|Set \S+ doesn't exist/i;

/** RHEL 10 and Ubuntu's kernels for clouds keep these modules in a package that is not installed with the kernel. */
export function moduleRemedy(modules: readonly string[]): string {
  return `load the kernel module${modules.length > 1 ? 's' : ''} on the host ("modprobe -a ${modules.join(' ')}"); where modprobe does not find one, install its package: RHEL and Fedora "dnf install kernel-modules-extra-$(uname -r)", Ubuntu "apt-get install linux-modules-extra-$(uname -r)"`;
}

/** Modules by what needs them. `nft_compat` carries the others where iptables writes nftables. */
export const modulesOf = {
  ipset: ['ip_set', 'ip_set_hash_net'],
  comment: ['nft_compat', 'xt_comment'],
  set: ['nft_compat', 'xt_set'],
  masquerade: ['nft_compat', 'xt_MASQUERADE'],
  /** `iptable_raw` and `ip6table_raw` where iptables is of the older kind. */
  guard: ['nft_compat', 'xt_addrtype', 'ip_set_hash_ip', 'iptable_raw', 'ip6table_raw'],
} as const;
