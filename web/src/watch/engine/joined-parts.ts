// Keeps hls.js 1.7.4 from stalling at the end of a segment that it joined in the middle.
//
// Playback that starts, or changes renditions, within a segment loads only its later parts. At the end of that
// segment the browser's buffer ends up to a few microseconds before the playlist's boundary, so that hls.js looks
// for what follows in the same segment, sees parts that were never loaded, and asks for nothing more until the
// picture has stood still (`getFragmentAtPosition` in its base-stream-controller). Parts before the point of
// joining are not wanted: saying so lets it go on.

import type Hls from "hls.js";
import { Events, type FragParsedData, type LevelDetails } from "hls.js";

/** Watches `hls` and marks the parts that were passed over in each segment that is joined. */
export function skipPartsBeforeJoin(hls: Hls): void {
  hls.on(Events.FRAG_PARSED, (_event, { frag, part }: FragParsedData) => {
    const tracks = frag.type === "audio" ? hls.audioTracks : hls.levels;
    const details: LevelDetails | undefined = tracks[frag.level]?.details;
    if (!part || !details?.live) return;
    for (const earlier of details.partList ?? []) {
      if (earlier.fragment.sn === frag.sn && earlier.index < part.index && !earlier.loaded)
        earlier.gap = true;
    }
  });
}
