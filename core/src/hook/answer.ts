/**
 * Checks what a hook answered against the closed list of the contract, and makes plain clean data of it. Called by the
 * pipeline for inline plugins and on the plugin threads, so nothing that cannot cross threads ever leaves one. An
 * answer outside the list is nonsense: the plugin's `onFailure` applies. Texts are cleaned instead of refused, because
 * they often carry a peer's words: no control character, and so no second reply line or header, gets through.
 */
import type { Edit, Evidence, HookResult, Stage } from './contract.ts';

const NOTHING: readonly HookResult[] = Object.freeze([]);
/** More than this in one answer is a plugin gone wrong, and would bloat every log line and header. */
const MOST_RESULTS = 100;
const MOST_PARTS = 1000;
const MOST_TEXT = 400;
const EVIDENCE_NAME = /^[\x21-\x7e]{1,64}$/;
/** RFC 5322 §3.6.8 ftext. */
const HEADER_NAME = /^[\x21-\x39\x3b-\x7e]{1,76}$/;
/** A header value may be folded, and nothing else may break its line. */
const HEADER_VALUE = /^(?:[^\0\r\n]|\r\n[ \t]+(?=[^\0\r\n]))*$/;
const ADDRESS = /^[^\0-\x20\x7f<>]{1,254}@[^\0-\x20\x7f<>@]{1,255}$/;
const MOST_HEADER_VALUE = 64 * 1024;

class Nonsense extends Error {}
type Fields = Readonly<Record<string, unknown>>;

/**
 * @returns clean results in the order given, or what is wrong with the answer as one line of text.
 */
export function checkAnswer(stage: Stage, answer: unknown): readonly HookResult[] | string {
  if (answer === undefined) return NOTHING;
  try {
    if (!Array.isArray(answer)) return [checkResult(stage, fieldsOf(answer, 'answer'))];
    if (answer.length > MOST_RESULTS) return `more than ${MOST_RESULTS} results`;
    return answer.map((one) => checkResult(stage, fieldsOf(one, 'result')));
  } catch (error) {
    // Anything can be thrown here: reading a field of a plugin's object may run the plugin's code.
    return error instanceof Nonsense ? error.message : 'the answer cannot be read';
  }
}

/** One line of printable text, shortened; what a peer, a log or a header may be shown. */
export function cleanText(text: string, longest = MOST_TEXT): string {
  const line = text.replaceAll(/[\0-\x1f\x7f]+/g, ' ').trim();
  return line.length <= longest ? line : `${line.slice(0, longest - 1)}…`;
}

function checkResult(stage: Stage, result: Fields): HookResult {
  switch (result['kind']) {
    case 'evidence':
      return { kind: 'evidence', evidence: listOf(result['evidence'], 'evidence', checkEvidence) };
    case 'edit':
      return { kind: 'edit', edits: listOf(result['edits'], 'edits', (edit) => checkEdit(stage, edit)) };
    case 'accept':
      return { kind: 'accept', reason: textOf(result['reason'], 'reason') };
    case 'quarantine':
      if (stage !== 'message') throw new Nonsense(`quarantine has no meaning at ${stage}`);
      return { kind: 'quarantine', reason: textOf(result['reason'], 'reason') };
    case 'reject':
    case 'defer':
      return checkRefusal(result['kind'], result);
    default:
      throw new Nonsense(`unknown kind ${show(result['kind'])}, expected evidence, edit, accept, reject, defer or quarantine`);
  }
}

function checkRefusal(kind: 'reject' | 'defer', result: Fields): HookResult & { kind: 'reject' | 'defer' } {
  const digit = kind === 'reject' ? 5 : 4;
  const { code, enhanced, cause } = result;
  if (code !== undefined && !(Number.isInteger(code) && Math.floor(Number(code) / 100) === digit)) {
    throw new Nonsense(`${kind} with code ${show(code)}`);
  }
  if (
    enhanced !== undefined &&
    !(typeof enhanced === 'string' && new RegExp(`^${digit}\\.\\d{1,3}\\.\\d{1,3}$`).test(enhanced))
  ) {
    throw new Nonsense(`${kind} with enhanced code ${show(enhanced)}`);
  }
  return {
    kind,
    text: textOf(result['text'], 'text').replaceAll(/[^\x20-\x7e]/g, '?'),
    ...(code === undefined ? {} : { code: code as number }),
    ...(enhanced === undefined ? {} : { enhanced }),
    ...(cause === undefined ? {} : { cause: textOf(cause, 'cause') }),
  };
}

function checkEvidence(one: Fields): Evidence {
  const { name, weight, reason } = one;
  if (typeof name !== 'string' || !EVIDENCE_NAME.test(name))
    throw new Nonsense(`evidence with name ${show(name)}, expected 1 to 64 characters without blanks`);
  if (typeof weight !== 'number' || !Number.isFinite(weight)) throw new Nonsense(`evidence ${name} with weight ${show(weight)}`);
  return { name, weight, reason: textOf(reason, 'reason') };
}

function checkEdit(stage: Stage, one: Fields): Edit {
  const { edit } = one;
  switch (edit) {
    case 'add-header':
    case 'replace-header':
      onlyAt(stage, edit, ['message']);
      return { edit, name: matching(one['name'], HEADER_NAME, 'header name'), value: headerValue(one['value']) };
    case 'remove-header': {
      onlyAt(stage, edit, ['message']);
      const name = matching(one['name'], HEADER_NAME, 'header name');
      const { matching: part } = one;
      if (part === undefined) return { edit, name };
      if (typeof part !== 'string') throw new Nonsense(`remove-header matching ${show(part)}`);
      return { edit, name, matching: part };
    }
    case 'add-recipient':
    case 'remove-recipient':
      onlyAt(stage, edit, ['rcpt', 'message']);
      return { edit, address: matching(one['address'], ADDRESS, 'address') };
    case 'reject-recipient':
    case 'defer-recipient': {
      onlyAt(stage, edit, ['message']);
      const address = matching(one['address'], ADDRESS, 'address');
      const { kind: _kind, ...refusal } = checkRefusal(edit === 'reject-recipient' ? 'reject' : 'defer', one);
      // Those close the session, which has recipients to answer for.
      if (refusal.code === 421 || refusal.code === 521) throw new Nonsense(`${edit} with code ${refusal.code}`);
      return { edit, address, ...refusal };
    }
    default:
      throw new Nonsense(`unknown edit ${show(edit)}`);
  }
}

function onlyAt(stage: Stage, edit: string, stages: readonly Stage[]): void {
  if (!stages.includes(stage)) throw new Nonsense(`${edit} has no meaning at ${stage}`);
}

function headerValue(value: unknown): string {
  const text = matching(value, HEADER_VALUE, 'header value');
  if (text.length > MOST_HEADER_VALUE) throw new Nonsense(`a header value of ${text.length} characters`);
  return text;
}

function matching(value: unknown, pattern: RegExp, what: string): string {
  if (typeof value !== 'string' || !pattern.test(value)) throw new Nonsense(`${what} ${show(value)}`);
  return value;
}

function textOf(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new Nonsense(`${what} ${show(value)}, expected a text`);
  return cleanText(value);
}

function listOf<T>(value: unknown, what: string, check: (one: Fields) => T): T[] {
  if (!Array.isArray(value)) throw new Nonsense(`${what} is no list`);
  if (value.length > MOST_PARTS) throw new Nonsense(`more than ${MOST_PARTS} ${what}`);
  return value.map((one) => check(fieldsOf(one, what)));
}

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null) throw new Nonsense(`${what} ${show(value)}`);
  return value as Fields;
}

function show(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  if (typeof value === 'function') return 'a function';
  return typeof value === 'string' ? JSON.stringify(cleanText(value, 60)) : String(value);
}
