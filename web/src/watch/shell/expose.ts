// `window.nearcast`: figures for tests and for support calls, read-only.

import type { Viewer } from "./viewer";

/** What `window.nearcast` offers; every property is read anew. */
export interface Figures {
  readonly channel: string;
  /** The session's phase. */
  readonly state: string;
  readonly broadcast: string | null;
  /** Seconds behind live, null when unknown. */
  readonly latency: number | null;
  readonly currentTime: number;
  /** When the shown frame was stamped, milliseconds since the epoch. */
  readonly playingAt: number | null;
  /** Seconds buffered ahead. */
  readonly buffer: number;
  readonly decodedFrames: number;
  readonly droppedFrames: number;
  readonly stalls: number;
  readonly rendition: { readonly width: number; readonly height: number; readonly bitrate: number } | null;
  readonly edge: { readonly node: string; readonly region: string; readonly url: string } | null;
  /** ALPN id: "h3", "h2" or "http/1.1". */
  readonly protocol: string | null;
  /** What is added to this device's clock, milliseconds. */
  readonly clockOffset: number;
}

declare global {
  interface Window {
    readonly nearcast: Figures;
  }
}

/** Puts the viewer's figures on `window`. */
export function expose(viewer: Viewer): void {
  const properties = Object.keys(figures(viewer)).map((name) => [
    name,
    { enumerable: true, get: () => figures(viewer)[name as keyof Figures] },
  ]);
  const value = Object.freeze(Object.defineProperties({}, Object.fromEntries(properties)));
  Object.defineProperty(window, "nearcast", { value, writable: false, configurable: false });
}

function figures(viewer: Viewer): Figures {
  const { session, sample, latency, stalls, protocol, clockOffset } = viewer.snapshot();
  return {
    channel: viewer.channel,
    state: session.phase,
    broadcast: session.broadcast,
    latency,
    currentTime: viewer.video.currentTime,
    playingAt: sample?.playingAt ?? null,
    buffer: sample?.buffer ?? 0,
    decodedFrames: sample?.decodedFrames ?? 0,
    droppedFrames: sample?.droppedFrames ?? 0,
    stalls,
    rendition: sample?.rendition ?? null,
    edge: session.current,
    protocol,
    clockOffset,
  };
}
