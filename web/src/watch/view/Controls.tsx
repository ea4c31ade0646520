// The bar under the picture.

import * as format from "../core/format";
import type { Snapshot, Viewer } from "../shell/viewer";
import { togglePictureInPicture } from "./fullscreen";
import { useEvents } from "./hooks";
import * as Icon from "./icons";
import { QualityMenu } from "./QualityMenu";

interface Props {
  readonly viewer: Viewer;
  readonly snapshot: Snapshot;
  readonly onFullscreen: () => void;
}

export function Controls({ viewer, snapshot, onFullscreen }: Props) {
  const fullscreen = useEvents(document, ["fullscreenchange"], () => document.fullscreenElement !== null);
  return (
    <fieldset class="controls" aria-label="Player controls">
      {/* Nothing to play or to be heard while a broadcast is waited for. */}
      {snapshot.session.broadcast !== null ? (
        <Playing viewer={viewer} snapshot={snapshot} />
      ) : (
        <span class="spacer" />
      )}
      <button
        type="button"
        class="control"
        aria-label={fullscreen ? "Leave full screen (f)" : "Full screen (f)"}
        onClick={onFullscreen}
      >
        {fullscreen ? <Icon.LeaveFullscreen /> : <Icon.EnterFullscreen />}
      </button>
    </fieldset>
  );
}

function Playing({ viewer, snapshot }: Pick<Props, "viewer" | "snapshot">) {
  const { video } = viewer;
  return (
    <>
      <button
        type="button"
        class="control"
        aria-label={video.paused ? "Play (k)" : "Pause (k)"}
        onClick={() => togglePlay(viewer)}
      >
        {video.paused ? <Icon.Play /> : <Icon.Pause />}
      </button>
      <Volume video={video} />
      <Live viewer={viewer} snapshot={snapshot} />
      <span class="spacer" />
      <QualityMenu sample={snapshot.sample} onPin={(rendition) => viewer.pin(rendition)} />
      {document.pictureInPictureEnabled && (
        <button
          type="button"
          class="control control-extra"
          aria-label="Picture in picture"
          onClick={() => togglePictureInPicture(video)}
        >
          <Icon.PictureInPicture />
        </button>
      )}
    </>
  );
}

function Volume({ video }: { readonly video: HTMLVideoElement }) {
  const muted = video.muted || video.volume === 0;
  return (
    <div class="volume">
      <button
        type="button"
        class="control"
        aria-label={muted ? "Unmute (m)" : "Mute (m)"}
        onClick={() => toggleMute(video)}
      >
        {muted ? <Icon.Muted /> : <Icon.Sound />}
      </button>
      <input
        class="volume-slider"
        type="range"
        min="0"
        max="1"
        step="0.05"
        aria-label="Volume"
        value={video.muted ? 0 : video.volume}
        onInput={(event) => setVolume(video, event.currentTarget.valueAsNumber)}
      />
    </div>
  );
}

function Live({ viewer, snapshot }: { readonly viewer: Viewer; readonly snapshot: Snapshot }) {
  const { behind, latency, session } = snapshot;
  if (session.phase !== "playing" && session.phase !== "switching") return null;
  if (behind || viewer.video.paused) {
    return (
      <button type="button" class="live live-behind" aria-label="Go live (l)" onClick={() => viewer.goLive()}>
        <span class="live-dot" />
        Go live
      </button>
    );
  }
  return (
    <span class={snapshot.stalled ? "live" : "live live-now"}>
      <span class="live-dot" />
      Live
      {latency !== null && <span class="live-latency">{format.seconds(latency)} behind</span>}
    </span>
  );
}

/** Plays or pauses. A pause keeps its place: "Go live" is the way back to the present. */
export function togglePlay(viewer: Viewer): void {
  if (viewer.video.paused) viewer.play();
  else viewer.video.pause();
}

/** Mutes or unmutes, and makes sure that unmuting can be heard. */
export function toggleMute(video: HTMLVideoElement): void {
  video.muted = !video.muted;
  if (!video.muted && video.volume === 0) video.volume = 0.5;
}

function setVolume(video: HTMLVideoElement, volume: number): void {
  video.volume = volume;
  video.muted = volume === 0;
}
