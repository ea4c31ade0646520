// What a player has to do for the session, whichever way it decodes.

import type { Sample } from "../core/sample";

/** Plays one broadcast in one `<video>` until it is destroyed. */
export interface Player {
  /** Goes on at the same position after the route has changed. */
  reroute(): void;
  /** Jumps to the position that a new viewer would start at. */
  goLive(): void;
  /** Stays on one rendition; null adapts to the line. */
  pin(rendition: number | null): void;
  /** The playlist has its end, so nothing new will come. */
  readonly complete: boolean;
  sample(): Sample;
  /** Fetches no more; what is buffered may be shown. */
  stop(): void;
  destroy(): void;
}

/** What a player tells the session. */
export interface Listener {
  /** Nothing can be fetched over the present route. */
  trouble(): void;
  /** The player failed and has to be built anew. */
  broken(): void;
  /** This browser cannot decode the broadcast. */
  unsupported(): void;
  /** There is nothing left to play. */
  finished(): void;
}
