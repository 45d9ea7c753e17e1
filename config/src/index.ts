/** What the other rooms may take from the configuration. */
export type { OauthConfig } from './auth.ts';
export { configSchema, type Config, type DomainConfig, type ListenerConfig } from './schema.ts';
export { loadConfig, parseConfig, type LoadResult } from './load.ts';
export { changeUsers } from './change-users.ts';
export { loadUsers, parseUsers, USER_NAME, ADDRESS, SENDER, type UserEntry, type UsersResult } from './users.ts';
export { writeAtomically } from './write-atomically.ts';
export { explain, explainInOneLine } from './explain.ts';
export type { Path, Problem } from './problem.ts';
export { checkValue, findingsText, type Finding } from './issues.ts';
export { nearest } from './nearest.ts';
export { duration } from './units.ts';
export { problemsInFile } from './place.ts';
export { jsonSchemaText } from './json-schema.ts';
