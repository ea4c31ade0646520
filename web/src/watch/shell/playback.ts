// Follows a `<video>`: whether it moves, how often it had to stop for want of data, and for how long.

/** Nothing to show for this long: the route is doubted even though no request failed. */
const STUCK_MS = 6000;

/** The same when nothing more will come: audio and video seldom end together, and some browsers wait for both. */
const STUCK_AT_END_MS = 700;

/** Callbacks, each called when it happens. */
export interface Watcher {
  /** The first frame of a load, or the first after something interrupted it. */
  moving(interrupted: boolean): void;
  /** Whether the end of what can be played is known. */
  complete(): boolean;
  /** It has stood still for too long; called again each time that much has passed. */
  stuck(): void;
  /** The last frame was shown. */
  ended(): void;
  /** Something that the page shows has changed. */
  changed(): void;
}

/** Counts stalls of one video element over all its loads. */
export class Playback {
  /** Interruptions for want of data since the page was opened; seeking and starting are not among them. */
  stalls = 0;
  /** It is standing still for want of data. */
  stalled = false;
  /** The browser refused to play without a gesture. */
  blocked = false;
  readonly #video: HTMLVideoElement;
  readonly #watcher: Watcher;
  #started = false;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(video: HTMLVideoElement, watcher: Watcher) {
    this.#video = video;
    this.#watcher = watcher;
    const on = (type: string, handler: () => void) => video.addEventListener(type, handler);
    on("playing", () => this.#moving());
    on("timeupdate", () => {
      if (this.stalled && video.readyState > HTMLMediaElement.HAVE_CURRENT_DATA && !video.paused)
        this.#moving();
    });
    on("waiting", () => this.#waiting());
    on("pause", () => this.#settle());
    on("ended", () => {
      this.#settle();
      watcher.ended();
    });
    for (const type of ["volumechange", "play", "pause"]) on(type, () => watcher.changed());
  }

  /** Starts what was just loaded; muted, or browsers would not let it start by itself. */
  start(): void {
    this.#settle();
    this.#started = false;
    this.#video.play().then(
      () => this.#setBlocked(false),
      // Loading something else interrupts a play() as well, and that is not a refusal.
      (error: DOMException) => this.#setBlocked(error.name === "NotAllowedError"),
    );
  }

  #setBlocked(blocked: boolean): void {
    this.blocked = blocked;
    this.#watcher.changed();
  }

  #moving(): void {
    const interrupted = this.#started && this.stalled;
    this.#started = true;
    this.blocked = false;
    this.#settle();
    this.#watcher.moving(interrupted);
  }

  #waiting(): void {
    if (this.#video.paused || this.stalled) return;
    this.stalled = true;
    if (this.#started && !this.#video.seeking && !this.#watcher.complete()) this.stalls++;
    this.#arm();
    this.#watcher.changed();
  }

  #arm(): void {
    const since = performance.now();
    clearInterval(this.#timer);
    this.#timer = setInterval(() => {
      const patience = this.#watcher.complete() ? STUCK_AT_END_MS : STUCK_MS;
      if (performance.now() - since < patience) return;
      this.#arm();
      this.#watcher.stuck();
    }, STUCK_AT_END_MS);
  }

  #settle(): void {
    clearInterval(this.#timer);
    this.stalled = false;
  }
}
