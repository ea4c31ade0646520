import type { HlsConfig, Loader, LoaderCallbacks, LoaderConfiguration, LoaderContext } from "hls.js";
import { LoadStats } from "hls.js";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { edgeLoader } from "./edge-loader";
import { Route } from "./route";

/** Stands for hls.js's XMLHttpRequest loader: keeps each request until the test answers it. */
class Network implements Loader<LoaderContext> {
  static requests: { url: string; callbacks: LoaderCallbacks<LoaderContext>; loader: Network }[] = [];
  context: LoaderContext | null = null;
  stats = new LoadStats();

  load(
    context: LoaderContext,
    _config: LoaderConfiguration,
    callbacks: LoaderCallbacks<LoaderContext>,
  ): void {
    if (this.stats.loading.start) throw new Error("used twice");
    this.stats.loading.start = 1;
    Network.requests.push({ url: context.url, callbacks, loader: this });
  }
  abort(): void {}
  destroy(): void {}
}

const CONTEXT = { url: "https://eu/live/demo/b1/source/media.m3u8?_HLS_msn=7" } as LoaderContext;
const urls = () => Network.requests.map(({ url }) => url);

function fail(code: number): void {
  const { callbacks, loader } = last();
  callbacks.onError({ code, text: "" }, CONTEXT, null, loader.stats);
}

function last() {
  const request = Network.requests.at(-1);
  if (!request) throw new Error("nothing was requested");
  return request;
}

function load(onTrouble = () => {}) {
  const route = new Route("https://eu", onTrouble);
  const loader = new (edgeLoader(Network, route))({} as HlsConfig);
  const callbacks = { onSuccess: vi.fn(), onError: vi.fn(), onTimeout: vi.fn() };
  loader.load(CONTEXT, {} as LoaderConfiguration, callbacks);
  return { route, loader, callbacks };
}

describe("loading over a route", () => {
  beforeEach(() => {
    Network.requests = [];
  });

  it("sends a request again to the next edge, and the player sees one success", () => {
    const onTrouble = vi.fn();
    const { route, loader, callbacks } = load(onTrouble);
    fail(0);
    expect(onTrouble).toHaveBeenCalledOnce();
    route.change("http://us");
    expect(urls()).toEqual([CONTEXT.url, "http://us/live/demo/b1/source/media.m3u8?_HLS_msn=7"]);
    last().callbacks.onSuccess({ url: "", data: "" }, loader.stats, { ...CONTEXT, url: "other" }, null);
    expect(callbacks.onSuccess.mock.calls[0]?.[2]).toBe(CONTEXT);
    expect(callbacks.onError).not.toHaveBeenCalled();
    expect(last().loader.stats).toBe(loader.stats);
  });

  it("treats an edge that says nothing like one that is gone", () => {
    const onTrouble = vi.fn();
    const { callbacks } = load(onTrouble);
    last().callbacks.onTimeout(last().loader.stats, CONTEXT, null);
    expect(onTrouble).toHaveBeenCalledOnce();
    expect(callbacks.onTimeout).not.toHaveBeenCalled();
  });

  it("goes on at once when another request has already changed the route", () => {
    const onTrouble = vi.fn();
    const { route } = load(onTrouble);
    route.change("http://us");
    fail(0);
    expect(onTrouble).not.toHaveBeenCalled();
    expect(urls()).toHaveLength(2);
  });

  it("asks for whole playlists", () => {
    const route = new Route("https://eu", () => {});
    const loader = new (edgeLoader(Network, route))({} as HlsConfig);
    const url = `${CONTEXT.url}&_HLS_part=1`;
    const callbacks = { onSuccess: vi.fn(), onError: vi.fn(), onTimeout: vi.fn() };
    loader.load({ ...CONTEXT, url: `${url}&_HLS_skip=YES` }, {} as LoaderConfiguration, callbacks);
    expect(urls()).toEqual([url]);
  });

  it("leaves answers about the object to the player", () => {
    const { callbacks } = load();
    fail(404);
    expect(callbacks.onError).toHaveBeenCalledOnce();
  });

  it("gives a busy edge a second chance before it doubts the route", () => {
    vi.useFakeTimers();
    const onTrouble = vi.fn();
    load(onTrouble);
    fail(503);
    vi.runAllTimers();
    expect(urls()).toEqual([CONTEXT.url, CONTEXT.url]);
    expect(onTrouble).not.toHaveBeenCalled();
    fail(503);
    expect(onTrouble).toHaveBeenCalledOnce();
    vi.useRealTimers();
  });

  it("sends nothing more after an abort", () => {
    const { route, loader } = load();
    fail(0);
    loader.abort();
    route.change("http://us");
    expect(urls()).toHaveLength(1);
  });
});
