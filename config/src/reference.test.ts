import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { jsonSchemaText } from './json-schema.ts';
import { withReference } from './reference.ts';
import { allKeys } from './schema-keys.ts';
import { configSchema } from './schema.ts';

const ROOT = join(import.meta.dirname, '../..');
const HOW = 'stale: run `npm run generate` in config/';

it('config/posthorn.schema.json is what the schema gives', () => {
  expect(readFileSync(join(ROOT, 'config/posthorn.schema.json'), 'utf8') === jsonSchemaText(), HOW).toBe(true);
});

it('the table in docs/configuration.md is what the schema gives', () => {
  const page = readFileSync(join(ROOT, 'docs/configuration.md'), 'utf8');
  expect(page === withReference(page), HOW).toBe(true);
});

it('a page that lost its marks is told apart from a stale one', () => {
  expect(() => withReference('# Configuration')).toThrow(/lost the marks/);
});

it('every key that is no section says what it does', () => {
  const mute = allKeys(configSchema).filter(({ schema }) => {
    const isSection = allKeys(schema).length > 0;
    return (
      !isSection && !('description' in (schema as { description?: string }) && (schema as { description?: string }).description)
    );
  });
  expect(mute.map(({ path }) => path)).toEqual([]);
});

it('the JSON Schema writes defaults the way an operator would', () => {
  const schema = JSON.parse(jsonSchemaText()) as {
    properties: Record<string, { properties: Record<string, { default: unknown }> }>;
  };
  expect(schema.properties['queue']?.properties['giveUpAfter']?.default).toBe('5d');
  expect(schema.properties['throughput']?.properties['spillBytes']?.default).toBe('1MiB');
});
