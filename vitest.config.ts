import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{core,config,workers,plugins,test,bench}/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    // What is built runs as it is, under Node itself: plugins in TypeScript are loaded by Node and not by the test runner.
    server: { deps: { external: [/\/dist\//] } },
    testTimeout: 30_000,
    // What is waited for comes late on a busy machine, and is no less right.
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 120_000,
  },
});
