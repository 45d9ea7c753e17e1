/** What the other rooms may take from the configuration. */
export { configSchema, type Config, type DomainConfig, type ListenerConfig } from './schema.ts';
export { loadConfig, parseConfig, type LoadResult } from './load.ts';
export { changeUsers, loadUsers, parseUsers, USER_NAME, ADDRESS, type UserEntry, type UsersResult } from './users.ts';
export { writeAtomically } from './write-atomically.ts';
export { explain, explainInOneLine } from './explain.ts';
export type { Problem } from './problem.ts';
export { jsonSchemaText } from './json-schema.ts';
