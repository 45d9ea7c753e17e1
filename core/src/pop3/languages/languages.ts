/** The languages that LANG offers (RFC 6856 §3), and how one is found. A language more: its texts, and a line here. */
import { ENGLISH } from './english.ts';
import { FRENCH } from './french.ts';
import { GERMAN } from './german.ts';
import type { Texts } from './texts.ts';

export interface Language {
  /** RFC 5646. */
  readonly tag: 'i-default' | 'en' | 'de' | 'fr';
  /** In the language itself. */
  readonly name: string;
  readonly texts: Texts;
}

/** Before LANG: the only language whose replies are ASCII, whatever names and plugins say. */
export const DEFAULT_LANGUAGE: Language = { tag: 'i-default', name: 'English in ASCII', texts: ENGLISH };

export const LANGUAGES: readonly Language[] = [
  { tag: 'en', name: 'English', texts: ENGLISH },
  { tag: 'de', name: 'Deutsch', texts: GERMAN },
  { tag: 'fr', name: 'français', texts: FRENCH },
  DEFAULT_LANGUAGE,
];

/** RFC 4647 §2.1, without the `*` that stands for any. */
const BASIC_RANGE = /^[a-z]{1,8}(?:-[a-z0-9]{1,8})*$/;

/** Looks a basic language range up (RFC 4647 §3.4): `de-CH-1996` finds `de`. @returns undefined when there is none for it. */
export function findLanguage(range: string): Language | undefined {
  let wanted = range.toLowerCase();
  if (!BASIC_RANGE.test(wanted)) return undefined;
  while (wanted !== '') {
    const found = LANGUAGES.find(({ tag }) => tag === wanted);
    if (found !== undefined) return found;
    // What introduces the last subtag goes with it: `de-x-bay` is cut to `de`.
    wanted = wanted.slice(0, Math.max(0, wanted.lastIndexOf('-'))).replace(/-[a-z0-9]$/, '');
  }
  return undefined;
}
