/**
 * Everything `npm test` checks, in the order of what is cheapest to know: format, lint (import directions among its
 * rules), then every test. Types were checked by the build. Closes with a line `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const report = join(tmpdir(), `posthorn-test-${process.pid}.json`);
let failedChecks = 0;

function check(name, command, args) {
  console.log(`\n== ${name}`);
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (error !== undefined) console.error(error.message);
  if (status !== 0) failedChecks += 1;
  return status === 0;
}

check('format', 'oxfmt', ['--check']);
check('lint', 'oxlint', ['--type-aware', '--deny-warnings']);
const ran = check('tests', 'vitest', [
  'run',
  '--reporter=dot',
  '--reporter=json',
  `--outputFile.json=${report}`,
  ...process.argv.slice(2),
]);

let counts = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0 };
try {
  counts = JSON.parse(readFileSync(report, 'utf8'));
} catch (error) {
  console.error(`no test report: ${error.message}`);
  failedChecks += 1;
}
rmSync(report, { force: true });
if (counts.numPassedTests === 0) failedChecks += 1;
// A run that failed without a failed test (a suite that could not be loaded, an unhandled rejection) has failed all the same.
const failed = counts.numFailedTests + failedChecks;
const skipped = counts.numPendingTests > 0 ? `, ${counts.numPendingTests} skipped` : '';
console.log(`\n${counts.numPassedTests} passed, ${failed} failed${skipped}`);
process.exitCode = failed > 0 || !ran ? 1 : 0;
