import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';

import { useFiles } from './source.js';

useFiles(readFile, () => pathToFileURL(`${process.cwd()}/`));

export * from './index.js';
