/** The clamav plugin. */
export { plugin as default } from './plugin.ts';
