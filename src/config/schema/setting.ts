/**
 * A setting: one key of a configuration file, its flag, and its help text. The tables of settings are the one place
 * where they are written; the command line's flags, its help and `sublet config check` come from them.
 */

export type Setting = {
  /** Path in the file: `raft.heartbeat_ms`. */
  readonly key: string;
  /** The same key's name in DC/OS's files: `replicated_log_dir`. */
  readonly alias?: string;
  /** `--heartbeat-ms` */
  readonly flag: string;
  /** What the flag takes: `HOST:PORT`; absent for a switch. */
  readonly takes?: string;
  /** How the flag's text becomes the file's value; `text` leaves it. */
  readonly as: 'text' | 'number' | 'switch' | 'member' | 'overlay' | 'json';
  /** May be given several times; the values form a list, which replaces the file's. */
  readonly repeated?: boolean;
  readonly about: string;
  /** The default as a person reads it; absent: none, the key is optional. */
  readonly default?: string;
};

/** A flag as it was given on the command line. */
export type FlagValue = { readonly flag: string; readonly value: string | boolean | readonly string[] };

/**
 * The value that would stand in the file. Text that is not a number stays text: the schema then says what is allowed.
 */
export function fileValue(setting: Setting, value: FlagValue['value']): unknown {
  if (typeof value === 'object') return value.map((each) => one(setting, each));
  return setting.repeated === true ? [one(setting, value)] : one(setting, value);
}

function one({ as }: Setting, value: string | boolean): unknown {
  if (typeof value === 'boolean') return value;
  switch (as) {
    case 'text':
      return value;
    case 'number':
      return number(value);
    case 'switch':
      return value === 'true' ? true : value === 'false' ? false : value;
    case 'member': {
      const at = value.indexOf('=');
      return at < 0 ? value : { name: value.slice(0, at), peer: value.slice(at + 1) };
    }
    case 'overlay':
      return pairs(value);
    case 'json':
      return json(value);
  }
}

/** `name=dcos,subnet=9.0.0.0/8,prefix=24` */
function pairs(text: string): unknown {
  const entries = text.split(',').map((pair) => {
    const at = pair.indexOf('=');
    return at < 0 ? undefined : ([pair.slice(0, at).trim(), pair.slice(at + 1).trim()] as const);
  });
  if (!entries.every((entry) => entry !== undefined)) return text;
  return Object.fromEntries(
    entries.map(([key, value]) => {
      if (key === 'prefix' || key === 'prefix6') return [key, number(value)];
      if (key === 'enabled' && (value === 'true' || value === 'false')) return [key, value === 'true'];
      return [key, value];
    }),
  );
}

/** Text that is not JSON stays text: the schema then says what is allowed. */
function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function number(text: string): number | string {
  return /^-?[0-9]+(\.[0-9]+)?$/.test(text) ? Number(text) : text;
}
