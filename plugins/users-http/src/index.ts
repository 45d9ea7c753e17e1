/** Users behind an HTTP endpoint: `auth.source: { http: { … } }`. */
import type { UserSourcePlugin } from '@posthorn/sdk';
import { createHttpSource, httpOptions } from './source.ts';

export { createHttpSource, httpOptions, type HttpOptions } from './source.ts';

export const userSource: UserSourcePlugin = {
  name: 'http',
  kind: 'user-source',
  create: (options) => createHttpSource(httpOptions.parse(options)),
};
export default userSource;
