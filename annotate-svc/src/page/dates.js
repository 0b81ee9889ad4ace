// Dates as people write them here: RFC 3339 as the API wants it, seconds since 1970, `now`, and `-2h` before now.

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const UNITS = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

const two = (number) => String(number).padStart(2, "0");

/**
 * RFC 3339 to the second: `…Z`, or with the offset that this machine has at that time. Offsets of old had seconds, which
 * RFC 3339 cannot say, nor years of more than four digits.
 */
export function format(date, isUtc) {
  const offset = isUtc ? 0 : -Math.round(date.getTimezoneOffset());
  const whole = new Date(date.getTime() + offset * 60000).toISOString();
  const text = whole.slice(0, 19);
  if (isUtc) return `${text}Z`;
  if (!/^\d{4}-/.test(whole)) return format(date, true);
  const minutes = Math.abs(offset);
  return `${text}${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** The instant that a text means at `now`; null when it is none. */
export function instant(text, now) {
  text = text.trim();
  if (text === "now") return now;
  const ago = /^-(\d{1,7})([smhdw])$/.exec(text);
  if (ago) return new Date(now.getTime() - Number(ago[1]) * UNITS[ago[2]] * 1000);
  if (/^-?\d{1,12}$/.test(text)) return new Date(Number(text) * 1000);
  const date = RFC_3339.test(text) ? new Date(text) : null;
  return date === null || Number.isNaN(date.getTime()) ? null : date;
}

/**
 * The text for the API: RFC 3339 stays as it is, with its offset; what else is a date becomes RFC 3339; anything else
 * goes as it is, for the API to refuse in its own words.
 */
export function sent(text, now, isUtc) {
  text = text.trim();
  const date = RFC_3339.test(text) ? null : instant(text, now);
  return date === null ? text : format(date, isUtc);
}

/** The same instant in the other zone; a text that is no fixed date stays. */
export function turned(text, isUtc) {
  const trimmed = text.trim();
  const date = RFC_3339.test(trimmed) ? instant(trimmed, new Date(0)) : null;
  return date === null ? text : format(date, isUtc);
}
