// Loads for hls.js over the route in use, so that a dead edge is a delay to the player and never an error.

import type {
  HlsConfig,
  Loader,
  LoaderCallbacks,
  LoaderConfiguration,
  LoaderContext,
  LoaderStats,
} from "hls.js";
import type { Route } from "./route";

type LoaderClass = new (config: HlsConfig) => Loader<LoaderContext>;

/** A busy edge may say 5xx once; it is asked again after this before the route is doubted. */
const SECOND_CHANCE_MS = 300;

/** A loader class that sends with `Inner` and starts over on the next route when an edge does not deliver. */
export function edgeLoader(Inner: LoaderClass, route: Route): LoaderClass {
  return class EdgeLoader implements Loader<LoaderContext> {
    context: LoaderContext | null = null;
    readonly stats: LoaderStats;
    readonly #config: HlsConfig;
    #inner: Loader<LoaderContext>;
    #timer: ReturnType<typeof setTimeout> | undefined;
    #over = false;

    constructor(config: HlsConfig) {
      this.#config = config;
      this.#inner = new Inner(config);
      this.stats = this.#inner.stats;
    }

    load(
      context: LoaderContext,
      config: LoaderConfiguration,
      callbacks: LoaderCallbacks<LoaderContext>,
    ): void {
      this.context = context;
      this.#send(context, config, callbacks, false);
    }

    abort(): void {
      this.#end();
      this.#inner.abort();
    }

    destroy(): void {
      this.#end();
      this.#inner.destroy();
      this.context = null;
    }

    getCacheAge(): number | null {
      return this.#inner.getCacheAge?.() ?? null;
    }

    getResponseHeader(name: string): string | null {
      return this.#inner.getResponseHeader?.(name) ?? null;
    }

    #end(): void {
      this.#over = true;
      clearTimeout(this.#timer);
    }

    #send(
      context: LoaderContext,
      config: LoaderConfiguration,
      callbacks: LoaderCallbacks<LoaderContext>,
      lastChance: boolean,
    ): void {
      const base = route.base;
      const again = (chance: boolean) => {
        if (this.#over) return;
        this.#renew();
        this.#send(context, config, callbacks, chance);
      };
      this.#inner.load({ ...context, url: withoutSkip(route.resolve(context.url)) }, config, {
        onSuccess: (response, stats, _context, network) =>
          callbacks.onSuccess(response, stats, context, network),
        onProgress: (stats, _context, data, network) => callbacks.onProgress?.(stats, context, data, network),
        onAbort: (stats, _context, network) => callbacks.onAbort?.(stats, context, network),
        onTimeout: () => route.failed(base, () => again(false)),
        onError: (error, _context, network, stats) => {
          if (isAnswer(error.code)) callbacks.onError(error, context, network, stats);
          else if (error.code >= 500 && !lastChance) {
            this.#timer = setTimeout(() => again(true), SECOND_CHANCE_MS);
          } else route.failed(base, () => again(false));
        },
      });
    }

    /** A loader can be used once; hls.js keeps looking at the first one's `stats`. */
    #renew(): void {
      this.#inner.destroy();
      this.#inner = new Inner(this.#config);
      this.stats.loading = { start: 0, first: 0, end: 0 };
      this.stats.aborted = false;
      this.#inner.stats = this.stats;
    }
  };
}

/**
 * Asks for whole playlists instead of delta updates. hls.js 1.7.4 misplaces a rendition's segments by one when it
 * merges a delta update into a playlist that began before the timeline did, as an audio playlist does that was a
 * moment older than the video's; one start in five had a hole in the sound. A whole playlist is 3 KB.
 */
function withoutSkip(url: string): string {
  return url.replace(/&_HLS_skip=\w+/, "");
}

/** 4xx is about the object and the same on every edge; anything else is about the edge. */
function isAnswer(status: number): boolean {
  return status >= 400 && status < 500;
}
