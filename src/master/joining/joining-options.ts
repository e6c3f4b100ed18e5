/** How a master has hosts join by tokens. */
export type JoiningOptions = {
  /** HOST:PORT where hosts without a certificate call; undefined: at other masters. */
  readonly listen: string | undefined;
  /** The key of the authority, PEM; undefined: another master signs. */
  readonly caKey: string | undefined;
  /** Of certificates that are signed, in ms. */
  readonly lifetimeMs: number;
};
