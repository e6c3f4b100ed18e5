/** What an operator should know of a cluster, in `sublet status` and in the log. */

/** `notice`: good to know, and nothing is wrong. */
export type Warning = {
  readonly message: string;
  readonly remedy: string;
  readonly notice?: boolean;
  /** It holds for the whole cluster, by the leader's account: followers show it, too. */
  readonly cluster?: boolean;
};
