// How long to wait before asking again.

/** The first wait for a broadcast to begin. */
const FIRST_MS = 2000;

/** The longest wait for a broadcast to begin: nobody should miss more of it. */
const WAITING_CAP_MS = 5000;

/** The longest wait while nothing can be reached: someone looks at a frozen picture. */
const FAILING_CAP_MS = 5000;

/** The longest wait before a route is taken again that has just been found to be good. */
const AGAIN_CAP_MS = 1000;

/**
 * Milliseconds until the next poll for a broadcast. It grows slowly to a cap, and `random` in [0, 1) spreads
 * it by a quarter either way, so that an audience that arrived together does not ask together.
 */
export function poll(attempt: number, random: number): number {
  return jitter(Math.min(WAITING_CAP_MS, FIRST_MS * 1.1 ** attempt), random);
}

/** Milliseconds until the next try after everything failed: doubles from half a second to a cap. */
export function retry(attempt: number, random: number): number {
  return jitter(Math.min(FAILING_CAP_MS, 500 * 2 ** Math.min(attempt, 10)), random);
}

/** The same while an edge says that all is well: what fails is a moment's. */
export function again(attempt: number, random: number): number {
  return jitter(Math.min(AGAIN_CAP_MS, 500 * 2 ** Math.min(attempt, 10)), random);
}

function jitter(ms: number, random: number): number {
  return Math.round(ms * (0.75 + random / 2));
}
