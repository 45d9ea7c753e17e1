/** The sender-auth plugin. */
export { plugin as default } from './plugin.ts';
