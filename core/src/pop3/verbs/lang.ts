/** LANG (RFC 6856 §3): the language of our texts from here on; `*` is the operator's, without an argument a list. */
import type { Conversation } from '../conversation.ts';
import { findLanguage, LANGUAGES } from '../languages/languages.ts';
import { ok, refuse, type Outcome } from '../outcome.ts';

const LIST = Buffer.from([...LANGUAGES.map(({ tag, name }) => `${tag} ${name}`), '.', ''].join('\r\n'));

export function lang(c: Conversation, _state: unknown, range: string | undefined): Outcome {
  if (range === undefined) return ok(c.texts.languages, { body: [LIST] });
  const language = findLanguage(range === '*' ? c.profile.language : range);
  if (language === undefined) return refuse(c.texts.unknownLanguage);
  return ok(`${language.tag} ${language.texts.languageChosen}`, { language });
}
