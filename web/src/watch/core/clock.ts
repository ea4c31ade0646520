// How far this device's clock is off, from the `Date` of answers; times in milliseconds.

/**
 * What is known about server time minus local time: it lies in [least, most]. Every answer narrows the range,
 * so that a header with a resolution of one second gives a better offset with each poll.
 */
export interface Clock {
  readonly least: number;
  readonly most: number;
}

/** Nothing known yet. */
export const UNKNOWN: Clock = { least: Number.NEGATIVE_INFINITY, most: Number.POSITIVE_INFINITY };

/** `Date` (RFC 9110 section 6.6.1) drops the fraction of the second. */
const DATE_RESOLUTION = 1000;

/**
 * Takes in an answer whose `Date` header was `date`, asked at `sent` and received at `received` by the local
 * clock. An answer that contradicts what was known (the clock was set, the device slept) replaces it.
 */
export function observe(clock: Clock, date: number, sent: number, received: number): Clock {
  if (!Number.isFinite(date)) return clock;
  const answer = { least: date - received, most: date + DATE_RESOLUTION - sent };
  const both = { least: Math.max(clock.least, answer.least), most: Math.min(clock.most, answer.most) };
  return both.least <= both.most ? both : answer;
}

/** What to add to the local clock: the smallest correction that agrees with every answer. */
export function offset(clock: Clock): number {
  if (clock.least > 0) return clock.least;
  if (clock.most < 0) return clock.most;
  return 0;
}
