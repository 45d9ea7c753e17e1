/**
 * The files of a new plugin: the engine of `posthorn plugin new FILE`. Pure: text out, the caller writes. The tsconfig.json
 * lets an editor find the SDK's types from any folder, without an npm install beside the plugin; the server itself finds
 * the SDK without it.
 */
import { fileURLToPath } from 'node:url';

export interface NewFile {
  readonly name: string;
  readonly content: string;
}

/** What a tsconfig.json beside plugin files must say. @param sdk,types paths of the SDK's types and of `@types`. */
export function tsconfigFor(sdk: string, types: string): string {
  const compilerOptions = {
    target: 'esnext',
    lib: ['esnext'],
    module: 'preserve',
    moduleResolution: 'bundler',
    moduleDetection: 'force',
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    erasableSyntaxOnly: true,
    verbatimModuleSyntax: true,
    skipLibCheck: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    paths: { '@posthorn/sdk': [sdk], '@posthorn/sdk/*': [sdk.replace(/index\.d\.ts$/, '*.d.ts')] },
    typeRoots: [types],
    types: ['node'],
  };
  return `${JSON.stringify({ compilerOptions, include: ['*.ts'] }, undefined, 2)}\n`;
}

/** Where the types of the running installation lie. */
export function installedTypes(): { readonly sdk: string; readonly types: string } {
  return {
    sdk: fileURLToPath(new URL('../dist/index.d.ts', import.meta.url)),
    types: fileURLToPath(new URL('../../../node_modules/@types', import.meta.url)),
  };
}

/**
 * A new plugin.
 * @param name lower case with dashes; the file is called `<name>.ts`.
 * @returns the plugin's file and a tsconfig.json.
 */
export function newPluginFiles(name: string): NewFile[] {
  const { sdk, types } = installedTypes();
  return [
    { name: `${name}.ts`, content: template(name) },
    { name: 'tsconfig.json', content: tsconfigFor(sdk, types) },
  ];
}

function template(name: string): string {
  const evidence = name.toUpperCase().replaceAll('-', '_');
  return `/** What this plugin is for. */
import { definePlugin, z } from '@posthorn/sdk';

export default definePlugin({
  name: '${name}',
  version: '1.0.0',
  options: z.strictObject({
    weight: z.number().default(3),
  }),
  hooks: {
    message({ envelope }, { options }) {
      if (envelope.recipients.length < 100) return undefined;
      return {
        kind: 'evidence',
        evidence: [{ name: '${evidence}', weight: options.weight, reason: 'sent to many' }],
      };
    },
  },
});
`;
}
