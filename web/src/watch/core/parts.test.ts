import { describe, expect, it } from "vitest";
import * as backoff from "./backoff";
import { flatten, order, PENALTY_MS } from "./candidates";
import * as clock from "./clock";
import * as format from "./format";
import { behindLive, isBehind } from "./latency";
import { broadcast } from "./multivariant";
import { parse } from "./steering";

describe("steering answers", () => {
  const EDGE = { node: "eu-1", region: "eu", urls: ["https://a/", "http://b"] };

  it("reads edges and takes slashes off the end of their URLs", () => {
    expect(parse({ channel: "demo", live: true, edges: [EDGE] })).toEqual({
      channel: "demo",
      live: true,
      edges: [{ node: "eu-1", region: "eu", urls: ["https://a", "http://b"] }],
    });
  });

  it("leaves out URLs that are not HTTP and edges without any", () => {
    const edges = [
      { ...EDGE, urls: ["javascript:alert(1)", 7] },
      { ...EDGE, urls: ["ftp://x", "http://b"] },
      null,
    ];
    expect(parse({ channel: "demo", live: false, edges })?.edges).toEqual([{ ...EDGE, urls: ["http://b"] }]);
  });

  it.each([null, [], "x", 3, {}, { channel: 1, edges: [] }, { channel: "demo", edges: {} }])(
    "refuses %j",
    (json) => expect(parse(json)).toBeNull(),
  );
});

describe("candidates", () => {
  const ALL = flatten([
    { node: "a", region: "r", urls: ["a1", "a2"] },
    { node: "b", region: "r", urls: ["b1"] },
  ]);
  const urls = (...args: Parameters<typeof order>) => order(...args).map(({ url }) => url);

  it("keeps the order of steering", () => expect(urls(ALL, {}, 0, null)).toEqual(["a1", "a2", "b1"]));

  it("puts what failed lately last", () =>
    expect(urls(ALL, { a1: 0 }, 10, null)).toEqual(["a2", "b1", "a1"]));

  it("forgives after a while", () =>
    expect(urls(ALL, { a1: 0 }, PENALTY_MS, null)).toEqual(["a1", "a2", "b1"]));

  it("puts the avoided node behind the others", () =>
    expect(urls(ALL, { a1: 0 }, 10, "a")).toEqual(["b1", "a2", "a1"]));
});

describe("the clock", () => {
  it("corrects nothing when the local clock agrees with the header's second", () =>
    expect(clock.offset(clock.observe(clock.UNKNOWN, 5000, 5700, 5710))).toBe(0));

  it("corrects a clock that is slow or fast, by no more than is sure", () => {
    expect(clock.offset(clock.observe(clock.UNKNOWN, 9000, 5000, 5100))).toBe(3900);
    expect(clock.offset(clock.observe(clock.UNKNOWN, 1000, 5000, 5100))).toBe(-3000);
  });

  it("gets better with each answer", () => {
    const first = clock.observe(clock.UNKNOWN, 9000, 5000, 5100);
    expect(clock.offset(clock.observe(first, 10_000, 5400, 5500))).toBe(4500);
  });

  it("starts over when an answer contradicts the earlier ones", () => {
    const first = clock.observe(clock.UNKNOWN, 9000, 5000, 5100);
    expect(clock.offset(clock.observe(first, 5000, 5000, 5100))).toBe(0);
  });

  it("ignores an answer without a date", () =>
    expect(clock.observe(clock.UNKNOWN, Number.NaN, 0, 0)).toBe(clock.UNKNOWN));
});

describe("latency", () => {
  it("is the platform's time less the frame's", () => expect(behindLive(10_000, 11_000, 500)).toBe(1.5));
  it("is unknown without program date-time", () => expect(behindLive(null, 11_000, 0)).toBeNull());
  it("is never negative", () => expect(behindLive(12_000, 11_000, 0)).toBe(0));
  it("offers to go live from three seconds on", () => {
    expect(isBehind(10, 12.9)).toBe(false);
    expect(isBehind(10, 13.1)).toBe(true);
    expect(isBehind(10, null)).toBe(false);
  });
});

describe("the broadcast in a multivariant playlist", () => {
  it.each([
    ["#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb7/source/media.m3u8\n", "b7"],
    ["#EXTM3U\r\n#EXT-X-STREAM-INF:BANDWIDTH=1\r\nb7/source/media.m3u8?x=/a\r\n", "b7"],
    ["#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/live/demo/b7/source/media.m3u8\n", "b7"],
    ["#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmedia.m3u8\n", null],
    ["#EXTM3U\n", null],
    ["<html>a/b/c</html>", null],
    ["", null],
  ])("of %j is %j", (text, expected) => expect(broadcast(text)).toBe(expected));
});

describe("waits", () => {
  it("are spread by a quarter either way", () => {
    expect(backoff.poll(0, 0)).toBe(1500);
    expect(backoff.poll(0, 1)).toBe(2500);
  });
  it("are capped", () => {
    expect(backoff.poll(1000, 0.5)).toBe(5000);
    expect(backoff.retry(1000, 0.5)).toBe(5000);
  });
});

describe("figures", () => {
  it.each([
    [format.seconds(1.44), "1.4 s"],
    [format.seconds(123.4), "123 s"],
    [format.seconds(null), "–"],
    [format.bitrate(850_000), "850 kb/s"],
    [format.bitrate(999_900), "1.0 Mb/s"],
    [format.bitrate(4_200_000), "4.2 Mb/s"],
    [format.bitrate(0), "–"],
    [format.height(720), "720p"],
    [format.height(0), "Audio only"],
    [format.count(12_345), "12,345"],
    [format.share(0, 0), "0 %"],
    [format.share(1, 10_000), "< 0.1 %"],
    [format.share(3, 100), "3.0 %"],
    [format.protocol("h3"), "HTTP/3"],
    [format.protocol("spdy"), "spdy"],
    [format.protocol(null), "–"],
  ])("%s reads %s", (actual, expected) => expect(actual).toBe(expected));
});
