/**
 * Lets plugin files in any folder import `@posthorn/sdk`: ours, so that there is one contract and one zod. Called by the
 * server's loader and by register.ts.
 */
import { registerHooks } from 'node:module';

let resolving = false;

/** From now on `@posthorn/sdk`, imported from wherever, is this one. A second call does nothing. */
export function resolveSdk(): void {
  if (resolving) return;
  resolving = true;
  registerHooks({
    resolve: (specifier, context, next) =>
      /^@posthorn\/sdk(\/|$)/.test(specifier)
        ? next(specifier, { ...context, parentURL: import.meta.url })
        : next(specifier, context),
  });
}
