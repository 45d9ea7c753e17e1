/** `posthorn schema`: prints the JSON Schema of the configuration, for editors. */
import { jsonSchemaText } from '@posthorn/config';
import type { Command } from 'commander';

export function addSchema(program: Command): void {
  program
    .command('schema')
    .description('print the JSON Schema of the configuration, for editors')
    .action(() => {
      process.stdout.write(jsonSchemaText());
    });
}
