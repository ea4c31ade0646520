// The edge in use. Names are the same on every edge, so changing edges is changing what stands before `/live/`.

/** Where a player's requests go; shared by the session, which sets it, and the loaders, which follow it. */
export class Route {
  /** Base URL of the edge in use, without a slash at its end. */
  base: string;
  #waiting: (() => void)[] = [];
  readonly #onTrouble: () => void;

  /** @param onTrouble called for each failure over the present base */
  constructor(base: string, onTrouble: () => void) {
    this.base = base;
    this.#onTrouble = onTrouble;
  }

  /** The same object at the edge in use. */
  resolve(url: string): string {
    const path = url.indexOf("/live/");
    return path < 0 ? url : this.base + url.slice(path);
  }

  /** Requests that wait since an edge failed are sent again, to `base`. */
  change(base: string): void {
    this.base = base;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  /** Reports that `base` failed; `resume` is called when there is a route to try again. */
  failed(base: string, resume: () => void): void {
    // Another request has already brought about the change.
    if (base !== this.base) {
      resume();
    } else {
      this.#waiting.push(resume);
      this.#onTrouble();
    }
  }
}
