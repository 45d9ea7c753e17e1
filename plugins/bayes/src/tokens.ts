/**
 * A readable message as a set of tokens: words, hosts and paths of links, addresses, and header words with their header's
 * prefix. Called by the classifier and by training alike, so that both see the same; any change of what comes out needs a
 * new TOKENS_VERSION, because models hold nothing but hashes of tokens. Pairs of neighbouring words were tried: four times
 * the model for no better ranking.
 */
import type { Readable } from './readable.ts';

/** Version of the tokens, kept in every model; models of another version are not used. */
export const TOKENS_VERSION = 1;

/** What a word is made of. Words of more than 32 characters are noise (base64, tracking ids). */
const WORD = /[\p{L}\p{N}$€£¥][\p{L}\p{N}\p{M}$€£¥'’.\-_]*/gu;
const SPACELESS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]{2,}/u;
const URL = /https?:\/\/[^\s<>"')\]]{3,300}/gi;
const MAX_WORD_LENGTH = 32;
const MAX_URLS = 200;

/** Headers that senders write and that say something of them, with the prefix of their tokens. */
const HEADERS: Readonly<Record<string, string>> = {
  subject: 's',
  from: 'f',
  'reply-to': 'r',
  sender: 'f',
  to: 't',
  cc: 't',
  'message-id': 'm',
  received: 'h',
  'x-mailer': 'x',
  'user-agent': 'x',
  'content-type': 'c',
};
const MAX_RECEIVED = 4;

/** The client that handed the message over, which at reception no header tells yet. */
export interface Client {
  readonly helo: string;
  readonly address: string;
}

/**
 * Tokens of a message, each once, in the order found, at most `limit`: first headers, then links, then text.
 */
export function tokensOf(message: Readable, limit: number, client?: Client): Set<string> {
  const tokens = new Set<string>();
  const add = (token: string): void => {
    if (tokens.size < limit) tokens.add(token);
  };
  if (client !== undefined) addWords(`${client.helo} ${client.address}`, 'h:', add);
  let received = 0;
  for (const { name, value } of message.headers) {
    const prefix = HEADERS[name];
    if (prefix === undefined || (name === 'received' && ++received > MAX_RECEIVED)) continue;
    if (name === 'received') addWords(beforeBy(value), 'h:', add);
    else addWords(value, `${prefix}:`, add);
  }
  for (const { filename, type } of message.attachments) {
    add(`a:${type}`);
    addWords(filename, 'a:', add);
  }
  let urls = 0;
  for (const link of message.links) addLink(link, add);
  for (const text of message.texts) {
    for (const [url] of text.matchAll(URL)) {
      if (++urls > MAX_URLS) break;
      addLink(url, add);
    }
  }
  for (const text of message.texts) addText(text, limit, tokens);
  return tokens;
}

/** The part of a Received header that names the other side; the rest names us, a time and a queue id. */
function beforeBy(value: string): string {
  const by = value.search(/\sby\s/i);
  return by < 0 ? '' : value.slice(0, by);
}

function addWords(value: string, prefix: string, add: (token: string) => void): void {
  for (const [found] of value.matchAll(WORD)) {
    const word = trimWord(found);
    if (word.length >= 2 && word.length <= MAX_WORD_LENGTH * 2) add(prefix + word);
    const dot = word.indexOf('.');
    // A host: its domains too, an address: its networks too.
    if (dot > 0) {
      if (/^\d+\.\d+\.\d+\.\d+$/.test(word)) add(prefix + word.slice(0, word.lastIndexOf('.')));
      else for (let at = dot; at > 0; at = word.indexOf('.', at + 1)) add(prefix + word.slice(at));
    }
  }
}

function addLink(link: string, add: (token: string) => void): void {
  const match = /^([a-z]{2,12}):(?:\/\/)?(?:[^/?#@]*@)?([^/?#:]*)(?::(\d+))?(.*)$/is.exec(link);
  if (match === null) return;
  const [, scheme = '', host = '', port, rest = ''] = match;
  add(`u:${scheme.toLowerCase()}`);
  const name = host.toLowerCase();
  add(`u:${name.slice(0, 80)}`);
  for (let at = name.indexOf('.'), n = 0; at >= 0 && n < 6; at = name.indexOf('.', at + 1), n++)
    add(`u:${name.slice(at, at + 80)}`);
  if (port !== undefined) add(`u:port${port}`);
  let words = 0;
  for (const [word] of rest.matchAll(/[\p{L}\p{N}]{2,32}/gu)) {
    if (++words > 12) break;
    add(`u/${word.toLowerCase()}`);
  }
}

function addText(text: string, limit: number, tokens: Set<string>): void {
  for (const [found] of text.matchAll(WORD)) {
    if (tokens.size >= limit) return;
    const word = trimWord(found);
    if (word.length > 1 && SPACELESS.test(word)) {
      addPairsOfLetters(word, tokens);
      continue;
    }
    if (word.length < 2 || word.length > MAX_WORD_LENGTH) continue;
    tokens.add(word);
  }
}

/** Chinese, Japanese and Thai have no spaces: pairs of neighbouring characters stand for words. */
function addPairsOfLetters(run: string, tokens: Set<string>): void {
  const letters = Array.from(run.slice(0, 400));
  for (let i = 1; i < letters.length; i++) tokens.add(letters[i - 1]! + letters[i]!);
}

function trimWord(found: string): string {
  let end = found.length;
  while (end > 0 && ".'’-_".includes(found[end - 1]!)) end--;
  return found.slice(0, end).toLowerCase();
}
