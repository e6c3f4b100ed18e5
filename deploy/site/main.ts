/** `npm run docs`: the pages as a site that a browser reads from the folder dist/docs, which is made anew. */
import { rmSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { writeSite } from '#site/repository.js';

const folder = fileURLToPath(new URL('../docs', import.meta.url));
rmSync(folder, { recursive: true, force: true });
console.log(`${writeSite(folder)} pages: ${pathToFileURL(`${folder}/index.html`)}`);
