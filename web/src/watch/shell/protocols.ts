// Which HTTP version each edge was last reached over.

/** Watches the page's requests; edges have to allow it with `Timing-Allow-Origin`. */
export class Protocols {
  readonly #byOrigin = new Map<string, string>();

  constructor() {
    if (typeof PerformanceObserver === "undefined") return;
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as PerformanceResourceTiming[]) {
        // Empty for a request that failed, and without leave to see it.
        if (entry.nextHopProtocol) this.#byOrigin.set(new URL(entry.name).origin, entry.nextHopProtocol);
      }
    });
    observer.observe({ type: "resource", buffered: true });
  }

  /** The ALPN id of the last answer from that base URL's origin, null when there was none. */
  of(base: string): string | null {
    return this.#byOrigin.get(new URL(base).origin) ?? null;
  }
}
