/** What the other rooms may take from the configuration. */
export { configSchema, type Config, type DomainConfig, type ListenerConfig } from './schema.ts';
