// One reading of everything that the page shows about playback.

/** One rung of the ladder, as a menu offers it. */
export interface Rendition {
  /** The name that the player knows it by. */
  readonly id: number;
  /** Pixels; 0 for a broadcast without video. */
  readonly width: number;
  readonly height: number;
  /** Bits per second as the playlist declares them; 0 when the player does not tell. */
  readonly bitrate: number;
}

/** A reading of the player. Times are seconds on the media timeline unless said otherwise. */
export interface Sample {
  readonly currentTime: number;
  /** When the shown frame was stamped, milliseconds since the epoch. */
  readonly playingAt: number | null;
  /** The position that a new viewer would start at. */
  readonly nearest: number | null;
  /** Seconds that can be played without another byte. */
  readonly buffer: number;
  readonly decodedFrames: number;
  readonly droppedFrames: number;
  /** What is on the screen. */
  readonly rendition: Rendition | null;
  /** What can be chosen, best first; empty when the player chooses alone. */
  readonly renditions: readonly Rendition[];
  /** The chosen rendition's id, null when the player adapts. */
  readonly pinned: number | null;
}
