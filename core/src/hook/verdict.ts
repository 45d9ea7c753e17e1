/**
 * What the answers of a stage come to. The rule: answers count in the order of the plugins. The first reject, defer or
 * accept ends the stage, and what later plugins said does not count. Quarantine does not end it: a later reject or
 * defer still wins over it, a later accept does not. The first quarantine gives the reason. Evidence and edits of all
 * plugins up to the end are kept, in order.
 */
import type { Edit, GivenEvidence, HookResult, OnFailure, PluginManifest, Verdict } from './contract.ts';
import { evidenceIn } from './evidence.ts';
import type { Outcome } from './host.ts';

const NONE: readonly never[] = Object.freeze([]);
/** The verdict when nobody had anything to say; one object for all. */
export const PASS: Verdict = Object.freeze({ kind: 'pass', evidence: NONE, edits: NONE });
const NOTHING: readonly HookResult[] = NONE;

/** Does any of these end the stage? */
export function endsStage(results: readonly HookResult[]): boolean {
  return results.some(({ kind }) => kind === 'reject' || kind === 'defer' || kind === 'accept');
}

/** What counts of an outcome: its results, or for a failure what the plugin's `onFailure` says (RFC 3463 X.3.0). */
export function resultsOf(outcome: Outcome, onFailure: OnFailure, plugin: string): readonly HookResult[] {
  if ('results' in outcome) return outcome.results;
  if (onFailure === 'pass') return NOTHING;
  const cause = `plugin ${plugin}: ${outcome.failed}: ${outcome.cause}`;
  return [{ kind: 'defer', code: 451, enhanced: '4.3.0', text: 'Local error in processing, try again later', cause }];
}

/** Merges results, given for each plugin in the order that counts; undefined where one was not asked. */
export function mergeResults(
  plugins: readonly PluginManifest[],
  results: readonly (readonly HookResult[] | undefined)[],
): Verdict {
  const evidence: GivenEvidence[] = [];
  const edits: Edit[] = [];
  let quarantine: Pick<Verdict, 'kind' | 'text' | 'plugin'> | undefined;
  for (const [index, { name }] of plugins.entries()) {
    const own = results[index];
    if (own === undefined || own.length === 0) continue;
    evidence.push(...evidenceIn(own, name));
    for (const result of own) {
      if (result.kind === 'edit') edits.push(...result.edits);
      else if (result.kind === 'quarantine') quarantine ??= { kind: 'quarantine', text: result.reason, plugin: name };
      else if (result.kind === 'accept') {
        return { ...(quarantine ?? { kind: 'accept', text: result.reason, plugin: name }), evidence, edits };
      } else if (result.kind !== 'evidence') return { ...refusal(result), plugin: name, evidence, edits };
    }
  }
  if (quarantine !== undefined) return { ...quarantine, evidence, edits };
  return evidence.length === 0 && edits.length === 0 ? PASS : { kind: 'pass', evidence, edits };
}

function refusal(result: HookResult & { kind: 'reject' | 'defer' }): Omit<Verdict, 'evidence' | 'edits'> {
  return {
    kind: result.kind,
    text: result.text,
    code: result.code ?? (result.kind === 'reject' ? 550 : 451),
    enhanced: result.enhanced ?? (result.kind === 'reject' ? '5.7.1' : '4.7.1'),
    ...(result.cause === undefined ? {} : { cause: result.cause }),
  };
}
