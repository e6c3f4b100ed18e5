/** `npm run docs`: the pages as a site that a browser reads from the folder dist/docs, which is made anew. */
import { rmSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { siteFolder, writeSite } from '#site/repository.js';

rmSync(siteFolder, { recursive: true, force: true });
console.log(`${writeSite(siteFolder)} pages: ${pathToFileURL(`${siteFolder}/index.html`)}`);
