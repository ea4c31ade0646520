// Keeps hls.js 1.7.4 from losing the sound for good behind a discontinuity.
//
// Sound that arrives before the first picture behind a discontinuity waits until the picture has said where the
// timeline goes on. hls.js then takes it up with its next tick, up to 100 ms later; a part that arrives in between is
// appended first, and after that hls.js neither takes up the one that waits nor asks for more
// (`_handleFragmentLoadProgress` and `_handleFragmentLoadComplete` in its audio-stream-controller). So tick at once.

import { AudioStreamController, type Events, type InitPTSFoundData } from "hls.js";

/** What hls.js is to load sound with. */
export class PromptAudio extends AudioStreamController {
  override onInitPtsFound(event: Events.INIT_PTS_FOUND, data: InitPTSFoundData): void {
    super.onInitPtsFound(event, data);
    this.tick();
  }
}
