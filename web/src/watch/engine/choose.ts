// Which player suits this browser.

import * as native from "./native-player";
import type { Listener, Player } from "./player";
import type { Route } from "./route";

/** Makes a player, or null where HLS cannot be played at all. */
export async function create(
  video: HTMLVideoElement,
  route: Route,
  path: string,
  listener: Listener,
): Promise<Player | null> {
  if (prefersNative(video)) return native.create(video, route, path, listener);
  const hls = await import("./hls-player");
  if (hls.isSupported()) return hls.create(video, route, path, listener);
  return native.isSupported(video) ? native.create(video, route, path, listener) : null;
}

/**
 * Apple's browsers play LL-HLS best by themselves: less power, AirPlay, and no Media Source on older iPhones.
 * Others that say they can (Chromium does) give less control of renditions than hls.js.
 */
function prefersNative(video: HTMLVideoElement): boolean {
  return /^Apple/.test(navigator.vendor) && native.isSupported(video);
}

/** Fetches the player's code while the session still looks for an edge. */
export function prefetch(video: HTMLVideoElement): void {
  // A failure shows, and is handled, when the player is made.
  if (!prefersNative(video)) import("./hls-player").catch(() => undefined);
}
