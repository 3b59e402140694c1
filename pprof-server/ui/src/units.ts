// This formats numbers as people read them: bytes in binary units, counts with separators, and times.
//
// Every view uses it. A figure has a sign if it is a difference.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** The typographic minus is as wide as the plus. */
const MINUS = '−';

/** Formats bytes with three significant digits: `64.4 MiB`, `1.50 KiB`, `12 B`. */
export function bytes(value: number): string {
  let amount = Math.abs(value);
  let unit = 0;
  // At 1023.5 three digits would round up to 1024.
  while (amount >= 999.5 && unit < UNITS.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || amount >= 99.95 ? 0 : amount >= 9.995 ? 1 : 2;
  return `${value < 0 ? MINUS : ''}${amount.toFixed(digits)} ${UNITS[unit]}`;
}

/** Formats a count as `1 234 567`, with narrow spaces. */
export function count(value: number): string {
  const digits = Math.abs(Math.round(value)).toString();
  return (value < 0 ? MINUS : '') + digits.replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** Formats a count of things: `1 stack`, `12 stacks`. */
export function things(value: number, one: string): string {
  return `${count(value)} ${one}${value === 1 ? '' : 's'}`;
}

/** Formats a difference: with a `+` if it is more, since `format` writes the minus itself. */
export function signed(value: number, format: (value: number) => string): string {
  return value > 0 ? `+${format(value)}` : format(value);
}

/** Formats a part of a whole: `12.3 %`. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return '–';
  const value = (100 * part) / Math.abs(whole);
  return `${value < 0 ? MINUS : ''}${Math.abs(value).toFixed(1)} %`;
}

/** Formats a time as `3 s`, `4.2 min`, `1.5 h` or `2.0 d`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(seconds < 600 ? 1 : 0)} min`;
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86_400).toFixed(1)} d`;
}

/** Growth of a shorter time than this is told by the minute, and by the hour otherwise. The server tells it so too. */
const HOURLY_FROM_SECONDS = 30 * 60;

/** Formats bytes in an hour as what fits the time in which they were seen: `14.5 MiB/min`. */
export function rate(bytesPerHour: number, seconds: number): string {
  return seconds < HOURLY_FROM_SECONDS ? `${bytes(bytesPerHour / 60)}/min` : `${bytes(bytesPerHour)}/h`;
}

/** Formats a time that was measured, with three significant digits: `1.23 s`, `45.6 ms`, `120 µs`. */
export function nanoseconds(value: number): string {
  const size = Math.abs(value);
  const [unit, name] = size >= 999.5e6 ? [1e9, 's'] : size >= 999.5e3 ? [1e6, 'ms'] : size >= 999.5 ? [1e3, 'µs'] : [1, 'ns'];
  const amount = size / unit;
  const digits = size === 0 || unit === 1 || amount >= 99.95 ? 0 : amount >= 9.995 ? 1 : 2;
  return `${value < 0 ? MINUS : ''}${amount.toFixed(digits)} ${name}`;
}

/** Formats the time of day, with the date if that is not today's. */
export function clock(seconds: number, now: number = Date.now() / 1000): string {
  const time = new Date(seconds * 1000);
  const two = (value: number) => value.toString().padStart(2, '0');
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const of_day = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return new Date(now * 1000).toDateString() === time.toDateString() ? of_day : `${day} ${of_day}`;
}

/** Formats a time for the name of a file, in UTC: `20261124-140322`. */
export function stamp(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
}
