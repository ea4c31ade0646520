// What can be read from any `<video>`.

/** Seconds from the playhead to the end of the buffered range that it is in. */
export function bufferAhead(video: HTMLVideoElement): number {
  const { buffered, currentTime } = video;
  for (let i = 0; i < buffered.length; i++) {
    // Demuxed tracks begin a few milliseconds apart: a playhead just before a range is in it.
    if (buffered.start(i) - 0.1 <= currentTime && currentTime <= buffered.end(i)) {
      return buffered.end(i) - currentTime;
    }
  }
  return 0;
}

/** Frames that came out of the decoder, and those of them that were not shown. */
export function frames(video: HTMLVideoElement): { decodedFrames: number; droppedFrames: number } {
  const quality = video.getVideoPlaybackQuality?.();
  return { decodedFrames: quality?.totalVideoFrames ?? 0, droppedFrames: quality?.droppedVideoFrames ?? 0 };
}
