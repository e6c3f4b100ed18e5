/** Bundles the page of the plan into dist/page/, from what `tsc` has made of it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const top = fileURLToPath(new URL('../../', import.meta.url));
/** Bytes of script that a browser has to load, at most. */
const bytesMax = 150 * 1024;

/** What the bundle contains of others goes with its licence. */
const licence = `Contains Preact.\n${readFileSync(new URL('node_modules/preact/LICENSE', `file://${top}`), 'utf8')}`;

const { metafile } = await build({
  absWorkingDir: top,
  entryPoints: { app: 'dist/src/page/view/main.js', style: 'src/page/view/app.css' },
  outdir: 'dist/page',
  entryNames: 'app',
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['chrome109', 'firefox115', 'safari16.4'],
  banner: { js: `/*! ${licence.replaceAll('*/', '')} */` },
  metafile: true,
  logLevel: 'warning',
});
const { bytes = 0 } = metafile.outputs['dist/page/app.js'] ?? {};
if (bytes > bytesMax) throw new Error(`dist/page/app.js has ${bytes} bytes: ${bytesMax} at most are allowed`);
