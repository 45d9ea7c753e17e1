/**
 * For tests of plugin files: `node --import …/plugins/sdk/dist/register.js --test my-filter.test.ts` finds `@posthorn/sdk`
 * without an npm install. The one file here that does something when it is imported, because that is its use.
 */
import { resolveSdk } from './resolve.ts';

resolveSdk();
