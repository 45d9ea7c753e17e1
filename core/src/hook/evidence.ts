/**
 * What a plugin is shown of earlier findings, the same in the session thread and on a plugin thread: the evidence of
 * earlier stages, and of this stage what the plugins that it `reads` gave. Nothing else, so that a verdict does not
 * depend on where plugins run or how fast they are.
 */
import type { GivenEvidence, HookResult, PluginManifest, Requests, Stage } from './contract.ts';

/** Evidence in these results, with the plugin that gave it. */
export function evidenceIn(results: readonly HookResult[], plugin: string): GivenEvidence[] {
  const found: GivenEvidence[] = [];
  for (const result of results) {
    if (result.kind === 'evidence') for (const one of result.evidence) found.push({ ...one, plugin });
  }
  return found;
}

/** The request as this plugin may see it; the same object when there is nothing to add. */
export function requestFor<S extends Stage>(
  request: Requests[S],
  manifest: PluginManifest,
  given: readonly GivenEvidence[],
): Requests[S] {
  if (given.length === 0 || manifest.reads.length === 0 || !('evidence' in request)) return request;
  const readable = given.filter((one) => manifest.reads.includes(one.plugin));
  if (readable.length === 0) return request;
  return Object.assign({}, request, { evidence: [...request.evidence, ...readable] });
}
