/**
 * The JSON Schema of posthorn.yaml, for editors that complete and check while one types. Made from the same schema
 * that the server reads by, so it cannot tell another story; combinations of keys it cannot check.
 */
import { z } from 'zod';
import { configSchema } from './schema.ts';
import { asBytes, asDuration } from './units.ts';

/** @returns the schema as text, two spaces deep, ended by a line feed: config/posthorn.schema.json. */
export function jsonSchemaText(): string {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    override({ zodSchema, jsonSchema }) {
      // The library leaves out defaults that stand behind a transform.
      if (zodSchema instanceof z.ZodDefault) jsonSchema.default = writtenDefault(zodSchema);
      delete jsonSchema['unit'];
    },
  });
  const { $schema, ...rest } = schema;
  return `${JSON.stringify({ $schema, title: 'Posthorn configuration', ...rest }, null, 2)}\n`;
}

/** A default as an operator would write it: `5m` where the server holds 300000. */
export function writtenDefault(schema: z.ZodDefault): unknown {
  const value = schema.def.defaultValue;
  const inner: z.core.$ZodType = schema.def.innerType;
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    const unit = unitOf(inner.def.element);
    return value.map((one: unknown) => written(one, unit));
  }
  return written(value, unitOf(inner));
}

function unitOf(schema: z.core.$ZodType): unknown {
  return schema instanceof z.ZodType ? schema.meta()?.['unit'] : undefined;
}

function written(value: unknown, unit: unknown): unknown {
  if (typeof value !== 'number' || value === 0) return value;
  if (unit === 'bytes') return asBytes(value);
  return unit === 'duration' ? asDuration(value) : value;
}
