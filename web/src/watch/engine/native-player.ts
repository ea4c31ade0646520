// Plays LL-HLS with the browser's own player: Safari and every browser on an iPhone.

import type { Sample } from "../core/sample";
import { bufferAhead, frames } from "./media";
import type { Listener, Player } from "./player";
import type { Route } from "./route";

/** Apple's name for HLS, the one that its browsers answer to. */
const HLS_TYPE = "application/vnd.apple.mpegurl";

/** Safari's way from the media timeline to EXT-X-PROGRAM-DATE-TIME, which the DOM types do not know. */
type Video = HTMLVideoElement & { getStartDate?: () => Date };

/** Whether the browser plays HLS by itself. */
export const isSupported = (video: HTMLVideoElement) => video.canPlayType(HLS_TYPE) !== "";

/** Starts to play the channel's multivariant playlist at `path` over `route`. */
export function create(video: Video, route: Route, path: string, listener: Listener): Player {
  let seenLive = false;
  let resumeAt: number | null = null;
  const listening = new AbortController();
  const on = (type: string, handler: () => void) =>
    video.addEventListener(type, handler, { signal: listening.signal });

  on("durationchange", () => {
    if (video.duration === Number.POSITIVE_INFINITY) seenLive = true;
    else if (!seenLive && Number.isFinite(video.duration)) listener.finished();
  });
  on("loadedmetadata", () => {
    const start = startDate(video);
    if (resumeAt !== null && start !== null) video.currentTime = (resumeAt - start) / 1000;
    resumeAt = null;
  });
  on("error", () => {
    if (video.error?.code === MediaError.MEDIA_ERR_NETWORK) listener.trouble();
    // Safari says "not supported" for a playlist that it could not fetch as well.
    else listener.broken();
  });
  video.src = route.base + path;

  return {
    get complete() {
      return seenLive && Number.isFinite(video.duration);
    },
    reroute() {
      resumeAt = playingAt(video);
      video.src = route.base + path;
      video.play().catch(() => undefined);
    },
    goLive() {
      const end = liveEnd(video);
      if (end !== null) video.currentTime = end;
    },
    pin: () => undefined,
    sample: () => sample(video),
    stop: () => undefined,
    destroy() {
      listening.abort();
      video.removeAttribute("src");
      video.load();
    },
  };
}

function sample(video: Video): Sample {
  const { videoWidth: width, videoHeight: height } = video;
  return {
    currentTime: video.currentTime,
    playingAt: playingAt(video),
    nearest: liveEnd(video),
    buffer: bufferAhead(video),
    ...frames(video),
    rendition: video.readyState > 0 ? { id: 0, width, height, bitrate: 0 } : null,
    renditions: [],
    pinned: null,
  };
}

function playingAt(video: Video): number | null {
  const start = startDate(video);
  return start === null ? null : start + video.currentTime * 1000;
}

function startDate(video: Video): number | null {
  const start = video.getStartDate?.().getTime() ?? Number.NaN;
  return Number.isFinite(start) ? start : null;
}

/** The browser keeps the hold-back at the end of what can be sought. */
function liveEnd({ seekable }: Video): number | null {
  return seekable.length > 0 ? seekable.end(seekable.length - 1) : null;
}
