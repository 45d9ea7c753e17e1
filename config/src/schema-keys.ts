/**
 * Finds which keys the schema has at a place, and where else a key exists: so that an unknown key can be answered with
 * the one that was meant. Also serves the reference (every key). Reads the schema, never a value.
 */
import { z } from 'zod';
import type { Path } from './problem.ts';

/** Takes off defaults, optionals, nulls and transforms. */
export function core(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return core(schema.def.innerType);
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return core(schema.def.innerType);
  if (schema instanceof z.ZodPipe) return core(schema.def.in);
  return schema;
}

/** @returns the keys allowed in the mapping at `path`; undefined where any key is. */
export function keysAt(schema: z.core.$ZodType, path: Path): string[] | undefined {
  let here = core(schema);
  for (const part of path) {
    let next: z.core.$ZodType | undefined;
    if (here instanceof z.ZodObject) next = (here.shape as Record<string, z.core.$ZodType>)[part];
    else if (here instanceof z.ZodRecord) next = here.def.valueType;
    else if (here instanceof z.ZodArray) next = here.def.element;
    if (next === undefined) return undefined;
    here = core(next);
  }
  return here instanceof z.ZodObject ? Object.keys(here.shape) : undefined;
}

/** One key of the file: `listeners[].tls`, `domains.NAME.deliver`. */
export interface KnownKey {
  readonly path: string;
  readonly key: string;
  readonly schema: z.core.$ZodType;
}

/** Every key with a name of its own, parents before children, in the order of the schema. */
export function allKeys(schema: z.core.$ZodType, above = ''): KnownKey[] {
  const here = core(schema);
  if (here instanceof z.ZodArray) return allKeys(here.def.element, `${above}[]`);
  if (here instanceof z.ZodRecord) return allKeys(here.def.valueType, `${above}.NAME`);
  if (!(here instanceof z.ZodObject)) return [];
  return Object.entries(here.shape as Record<string, z.core.$ZodType>).flatMap(([key, inner]) => {
    const path = above === '' ? key : `${above}.${key}`;
    return [{ path, key, schema: inner }, ...allKeys(inner, path)];
  });
}
