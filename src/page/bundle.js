/** Bundles the page of the plan into dist/page/, from what `tsc` has made of it. */
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const top = fileURLToPath(new URL('../../', import.meta.url));
/** Bytes of script that a browser has to load, at most. */
const bytesMax = 150 * 1024;

const { metafile } = await build({
  absWorkingDir: top,
  entryPoints: { app: 'dist/src/page/view/main.js', style: 'src/page/view/app.css' },
  outdir: 'dist/page',
  entryNames: 'app',
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['chrome109', 'firefox115', 'safari16.4'],
  legalComments: 'inline',
  metafile: true,
  logLevel: 'warning',
});
const { bytes = 0 } = metafile.outputs['dist/page/app.js'] ?? {};
if (bytes > bytesMax) throw new Error(`dist/page/app.js has ${bytes} bytes: ${bytesMax} at most are allowed`);
