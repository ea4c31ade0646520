// Plays LL-HLS with hls.js over Media Source Extensions.

import Hls, { type ErrorData, ErrorDetails, ErrorTypes, Events, type HlsConfig, type Level } from "hls.js";
import type { Rendition, Sample } from "../core/sample";
import { edgeLoader } from "./edge-loader";
import { skipPartsBeforeJoin } from "./joined-parts";
import { bufferAhead, frames } from "./media";
import type { Listener, Player } from "./player";
import { PromptAudio } from "./prompt-audio";
import type { Route } from "./route";

/** A decoder that fails again within this time will not recover. */
const RECOVERY_MS = 10_000;

/** Whether hls.js can work in this browser. */
export const isSupported = () => Hls.isSupported();

/** Starts to play the channel's multivariant playlist at `path` over `route`. */
export function create(video: HTMLVideoElement, route: Route, path: string, listener: Listener): Player {
  const hls = new Hls(config(route));
  let seenLive = false;
  let complete = false;
  let failed = false;
  let recoveredAt = Number.NEGATIVE_INFINITY;

  hls.on(Events.LEVEL_LOADED, (_event, { details }) => {
    complete = !details.live;
    // What is left of a broadcast that was over before anyone here saw it is not worth showing.
    if (complete && !seenLive) listener.finished();
    seenLive = true;
  });
  hls.on(Events.ERROR, (_event, data) => {
    if (data.fatal) onFatal(data);
  });
  skipPartsBeforeJoin(hls);
  hls.loadSource(route.base + path);
  hls.attachMedia(video);

  function onFatal({ type, details }: ErrorData) {
    if (UNSUPPORTED.has(details)) return listener.unsupported();
    if (type === ErrorTypes.NETWORK_ERROR) {
      failed = true;
      return listener.trouble();
    }
    const again = performance.now() - recoveredAt < RECOVERY_MS;
    if (type !== ErrorTypes.MEDIA_ERROR || again) return listener.broken();
    recoveredAt = performance.now();
    hls.recoverMediaError();
  }

  return {
    get complete() {
      return complete;
    },
    reroute() {
      // Loads that wait for the route go on by themselves; only a player that gave up is started again.
      if (failed) hls.startLoad();
      failed = false;
    },
    goLive() {
      if (hls.liveSyncPosition !== null) video.currentTime = hls.liveSyncPosition;
    },
    pin(rendition) {
      hls.loadLevel = rendition ?? -1;
    },
    sample: () => sample(hls, video),
    stop: () => hls.stopLoad(),
    destroy: () => hls.destroy(),
  };
}

const UNSUPPORTED: ReadonlySet<string> = new Set([
  ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR,
  ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR,
  ErrorDetails.BUFFER_ADD_CODEC_ERROR,
]);

function config(route: Route): Partial<HlsConfig> {
  const once = { timeoutRetry: null, errorRetry: null };
  return {
    loader: edgeLoader(Hls.DefaultConfig.loader, route),
    audioStreamController: PromptAudio,
    lowLatencyMode: true,
    // CMAF needs no transmuxing to speak of, and a worker would want its own file or a wider security policy.
    enableWorker: false,
    capLevelToPlayerSize: true,
    // After a stall the picture catches up with live at a speed that nobody hears.
    maxLiveSyncPlaybackRate: 1.1,
    backBufferLength: 30,
    // The first rendition is chosen before anything was measured: assume a line that carries 720p.
    abrEwmaDefaultEstimate: 3_000_000,
    // Retries belong to the route; an edge that says nothing for that long is taken for dead. A blocking
    // playlist request is answered within three target durations, or with an error (RFC 8216bis 6.2.5.2).
    manifestLoadPolicy: { default: { maxTimeToFirstByteMs: 4000, maxLoadTimeMs: 8000, ...once } },
    playlistLoadPolicy: { default: { maxTimeToFirstByteMs: 8000, maxLoadTimeMs: 10_000, ...once } },
    fragLoadPolicy: { default: { maxTimeToFirstByteMs: 4000, maxLoadTimeMs: 20_000, ...once } },
  };
}

function sample(hls: Hls, video: HTMLVideoElement): Sample {
  const { levels, currentLevel } = hls;
  const level = levels[currentLevel];
  return {
    currentTime: video.currentTime,
    playingAt: hls.playingDate?.getTime() ?? null,
    nearest: hls.liveSyncPosition,
    buffer: bufferAhead(video),
    ...frames(video),
    rendition: level ? rendition(level, currentLevel) : null,
    renditions: choices(levels, level).sort((a, b) => b.height - a.height || b.bitrate - a.bitrate),
    pinned: hls.autoLevelEnabled ? null : hls.loadLevel,
  };
}

/** Each picture is listed with every codec of the sound: of those, the ones with the codec that is heard. */
function choices(levels: Level[], heard: Level | undefined): Rendition[] {
  const codec = (heard ?? levels[0])?.audioCodec;
  const all = levels.map((level, id) => ({ codec: level.audioCodec, choice: rendition(level, id) }));
  return all.filter((each) => each.codec === codec).map((each) => each.choice);
}

function rendition({ width, height, bitrate }: Level, id: number): Rendition {
  return { id, width, height, bitrate };
}
