/**
 * Writes what is made from the schema: config/posthorn.schema.json and the table in docs/configuration.md.
 * Run by hand (`npm run generate` in config/) after the schema changed; tests say when that was forgotten.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jsonSchemaText } from './json-schema.ts';
import { withReference } from './reference.ts';

const root = join(import.meta.dirname, '..', '..');
writeFileSync(join(root, 'config', 'posthorn.schema.json'), jsonSchemaText());
const page = join(root, 'docs', 'configuration.md');
writeFileSync(page, withReference(readFileSync(page, 'utf8')));
