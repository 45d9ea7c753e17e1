/** The line that begins a message of an mbox: `From <sender> <date>`, its date in UTC (RFC 4155, appendix A). Pure. */

/** Longer lines are text. */
export const MAX_FROM_LINE_BYTES = 1000;

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const LINE =
  /^From .*?(?:Sun|Mon|Tue|Wed|Thu|Fri|Sat),? +(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +(\d{1,2}) +(\d{1,2}):(\d\d)(?::(\d\d))?( .*)$/;

/** @param sender the reverse-path; empty for a bounce. @returns the line without its end. */
export function formatFromLine(sender: string, dateMs: number): string {
  const date = new Date(dateMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = String(date.getUTCDate()).padStart(2, ' ');
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  // A blank would end the address for others, a line end the line.
  const from = sender === '' ? 'MAILER-DAEMON' : sender.replace(/[\s\p{Cc}]/gu, '-').slice(0, 320);
  return `From ${from} ${DAYS[date.getUTCDay()]} ${MONTHS[date.getUTCMonth()]} ${day} ${time} ${date.getUTCFullYear()}`;
}

/**
 * Reads such a line as programs write it: with seconds or without, a zone before or behind the year, or none.
 * @returns the date in ms; undefined for one without a date: text that begins with "From ".
 */
export function parseFromLine(line: string): number | undefined {
  const [, month, day, hour, minute, second = '0', rest = ''] = LINE.exec(line) ?? [];
  if (month === undefined) return undefined;
  const year = /(?<![\d+-])\d{4}(?!\d)/.exec(rest)?.[0];
  if (year === undefined || Number(day) > 31 || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined;
  const [, sign, zoneHours = '0', zoneMinutes = '0'] = / ([+-])(\d\d)(\d\d)(?!\d)/.exec(rest) ?? [];
  const zoneMs = (sign === '-' ? -1 : 1) * (Number(zoneHours) * 60 + Number(zoneMinutes)) * 60_000;
  const localMs = Date.UTC(Number(year), MONTHS.indexOf(month), Number(day), Number(hour), Number(minute), Number(second));
  return localMs - zoneMs;
}
