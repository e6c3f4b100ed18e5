/** What a master writes its log with: the part of pino's interface that it uses. */
export type MasterLog = {
  debug(details: object, message: string): void;
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
};

/** For specs and embedders that want none. */
export const silentLog: MasterLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
