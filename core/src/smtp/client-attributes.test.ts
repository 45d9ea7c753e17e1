import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Reply } from '../wire/reply.ts';
import { parseAttributes, XCLIENT_NAMES, XFORWARD_NAMES } from './client-attributes.ts';

const NAMES = [...new Set([...XCLIENT_NAMES, ...XFORWARD_NAMES])];

/** xtext of RFC 3461 §4. */
const xtext = (text: string) =>
  text.replace(/[^!-*,-<>-~]/g, (one) => `+${one.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);

function taken(argument: string, names = XCLIENT_NAMES as readonly (typeof NAMES)[number][]) {
  const attributes = parseAttributes(argument, names);
  if (attributes instanceof Reply) throw new Error(attributes.text);
  return Object.fromEntries(attributes);
}

describe('parseAttributes', () => {
  it('reads names in any case, xtext, and what is not known', () => {
    expect(taken('name=a.example ADDR=IPv6:2001:DB8::9 port=25 Proto=esmtp LOGIN=a+2Bb+40c helo=[TEMPUNAVAIL]')).toEqual({
      NAME: 'a.example',
      ADDR: '2001:db8::9',
      PORT: '25',
      PROTO: 'ESMTP',
      LOGIN: 'a+b@c',
      HELO: undefined,
    });
    expect(taken('ADDR=192.0.2.077')).toEqual({ ADDR: '192.0.2.77' });
    expect(taken('HELO=[192.0.2.7]')).toEqual({ HELO: '[192.0.2.7]' });
    expect(taken('ADDR=+5BUNAVAILABLE+5D')).toEqual({ ADDR: undefined });
  });

  it('reads back every login that was written in xtext, if it is one word', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme-ascii' }), (login) => {
        fc.pre(!login.startsWith('['));
        const parsed = parseAttributes(`LOGIN=${xtext(login)}`, XCLIENT_NAMES);
        if (login.includes(' ')) expect(parsed).toBeInstanceOf(Reply);
        else expect(parsed instanceof Reply ? parsed.text : parsed.get('LOGIN')).toBe(login);
      }),
    );
  });

  it('never throws, and gives nothing that could break a header line or a reply', () => {
    const value = fc.string({ maxLength: 30, unit: 'binary' }).map((text) => xtext(Buffer.from(text).toString('latin1')));
    const part = fc.tuple(fc.constantFrom(...NAMES, 'X', ''), fc.constantFrom('=', '', '=='), fc.oneof(value, fc.string()));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 4 }), (parts) => {
        const argument = parts.map((one) => one.join('')).join(' ');
        for (const names of [XCLIENT_NAMES, XFORWARD_NAMES]) {
          const parsed = parseAttributes(argument, names);
          if (parsed instanceof Reply) expect(parsed.code).toBe(501);
          else for (const one of parsed.values()) expect(one ?? 'x').toMatch(/^[\x21-\x7e]{1,255}$/);
        }
      }),
    );
  });
});
