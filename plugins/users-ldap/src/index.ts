/** Users in LDAP: `auth.source: { ldap: { … } }`. */
import type { UserSourcePlugin } from '@posthorn/sdk';
import { createLdapSource, ldapOptions } from './source.ts';

export { createLdapSource, ldapOptions, type LdapOptions } from './source.ts';

export const userSource: UserSourcePlugin = {
  name: 'ldap',
  kind: 'user-source',
  create: (options) => createLdapSource(ldapOptions.parse(options)),
};
export default userSource;
