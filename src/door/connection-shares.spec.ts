import assert from 'node:assert/strict';
import { connectionShares, openFilesLimit } from '#door/connection-shares.js';

describe('the shares of the connections', () => {
  for (const [openFiles, api, peer, http] of [
    [128, 40, 16, 8],
    [256, 80, 32, 16],
    [1_024, 608, 64, 96],
    [131_072, 104_281, 64, 512],
    [1_048_576, 131_072, 64, 512],
  ] as const) {
    it(`are ${api}, ${peer} and ${http} of ${openFiles} open files`, () => {
      assert.deepEqual(connectionShares(openFiles), { api, peer, http });
    });
  }

  it('leave the store half of a small limit, and 256 and a fifth of a large one', () => {
    for (let openFiles = 128; openFiles < 200_000; openFiles += 37) {
      const { api, peer, http } = connectionShares(openFiles);
      const kept = openFiles - api - peer - http;
      assert.ok(kept >= Math.min(256, openFiles / 2), `${kept} of ${openFiles}`);
      assert.ok(kept >= openFiles / 5, `${kept} of ${openFiles}`);
    }
  });

  it('are refused below 128, with the way out', () => {
    assert.throws(() => connectionShares(127), {
      name: 'OpenFilesError',
      message: /RLIMIT_NOFILE\) is 127, and a master needs 128 at least: raise it/,
    });
  });

  it('are bounded without a limit', () => {
    assert.deepEqual(connectionShares(undefined), { api: 131_072, peer: 64, http: 512 });
  });

  it('go by the soft limit of the process', () => {
    const line = (soft: string): string =>
      `Limit                     Soft Limit           Hard Limit           Units     \nMax open files            ${soft}                 4096                 files     \n`;
    assert.equal(
      openFilesLimit(() => line('256')),
      256,
    );
    assert.equal(
      openFilesLimit(() => line('unlimited')),
      undefined,
    );
    const absent = (): string => {
      throw new Error('ENOENT');
    };
    assert.equal(openFilesLimit(absent), undefined);
    assert.ok((openFilesLimit() ?? 0) > 0, 'of this process');
  });
});
