/** The few calls of dockerode that the reconciler makes: its whole contract with that package, typed here. */
declare module 'dockerode' {
  interface DockerOptions {
    readonly socketPath?: string;
    readonly host?: string;
    readonly port?: number;
    readonly protocol?: 'http' | 'https';
    /** Milliseconds. */
    readonly timeout?: number;
  }
  interface Network {
    inspect(): Promise<unknown>;
    remove(): Promise<unknown>;
  }
  class Docker {
    constructor(options: DockerOptions);
    version(): Promise<unknown>;
    info(): Promise<unknown>;
    listNetworks(options?: { readonly filters?: string }): Promise<unknown>;
    createNetwork(request: object): Promise<unknown>;
    getNetwork(id: string): Network;
  }
  export = Docker;
}
