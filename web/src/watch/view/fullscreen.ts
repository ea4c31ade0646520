// Full screen and picture-in-picture, with the iPhone's own ways.

/** An iPhone can only show the video itself in full screen. */
type Video = HTMLVideoElement & { webkitEnterFullscreen?: () => void };

/** Shows `stage` on the whole screen, or the page again. */
export function toggleFullscreen(stage: HTMLElement, video: Video): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else if (document.fullscreenEnabled) void stage.requestFullscreen();
  else video.webkitEnterFullscreen?.();
}

/** Lets the picture float over other windows, or puts it back. */
export function togglePictureInPicture(video: HTMLVideoElement): void {
  const change = document.pictureInPictureElement
    ? document.exitPictureInPicture()
    : video.requestPictureInPicture();
  // Refused before the first frame: there is nothing to float yet.
  change.catch(() => undefined);
}
