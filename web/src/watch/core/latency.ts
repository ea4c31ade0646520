// How far behind live the picture is, and whether it can be nearer; seconds.

/** Behind the nearest position by more than this, "Go live" is offered. */
const BEHIND_SECONDS = 3;

/**
 * Seconds between the moment a frame was stamped at the origin and the moment it is shown.
 *
 * @param playingAt the shown frame's EXT-X-PROGRAM-DATE-TIME, milliseconds since the epoch; null when unknown
 * @param now this device's clock, milliseconds since the epoch
 * @param offset what to add to this device's clock to get the platform's
 */
export function behindLive(playingAt: number | null, now: number, offset: number): number | null {
  if (playingAt === null || !Number.isFinite(playingAt)) return null;
  return Math.max(0, (now + offset - playingAt) / 1000);
}

/** True when jumping to `nearest`, the position that a new viewer would start at, is worth a button. */
export function isBehind(currentTime: number, nearest: number | null): boolean {
  return nearest !== null && nearest - currentTime > BEHIND_SECONDS;
}
