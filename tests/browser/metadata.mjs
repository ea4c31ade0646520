// Plays a channel with hls.js, announces metadata four seconds ahead of the playhead, and prints what hls.js made of it
// and where the playhead was when its cues became active, as JSON.
//
// usage: node metadata.mjs '{"url", "hls", "api", "token", "metadata", "profile", "flags": [..]}'

import { readFileSync } from "node:fs";
import { launch } from "./launch.mjs";

const { url, hls, api, token, metadata, profile, flags } = JSON.parse(process.argv[2]);
const browser = await launch(profile, flags);
try {
  const page = await browser.newPage();
  // A page of the same network, whose own scripts are of no concern.
  await page.goto(new URL("/", api).href);
  await page.evaluate(readFileSync(hls, "utf8"));
  await page.evaluate(play, url);
  await page.waitForFunction(() => document.querySelector("video")?.currentTime > 0 && window.player.playingDate, null, {
    timeout: 20_000,
  });
  const at = (await page.evaluate(() => window.player.playingDate.getTime())) + 4000;
  const answer = await fetch(api, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ ...metadata, at }),
  });
  const both = (schemes) => schemes.every((scheme) => window.seen.cues.some((cue) => cue.type === scheme));
  const schemes = ["https://aomedia.org/emsg/ID3", "com.apple.quicktime.HLS"];
  await page.waitForFunction(both, schemes, { timeout: 15_000 }).catch(() => {});
  const seen = await page.evaluate(() => window.seen);
  console.log(JSON.stringify({ at, status: answer.status, ...seen }));
} finally {
  await browser.close();
}

/** In the page. */
function play(url) {
  const video = Object.assign(document.createElement("video"), { muted: true, autoplay: true });
  document.body.replaceChildren(video);
  const player = new window.Hls({ lowLatencyMode: true, enableWorker: false });
  const seen = { parsed: [], ranges: {}, cues: [], errors: [] };
  Object.assign(window, { player, seen });
  player.on("hlsFragParsingMetadata", (_, { samples }) => {
    for (const { pts, type } of samples) seen.parsed.push({ pts, type });
  });
  player.on("hlsLevelUpdated", (_, { details }) => {
    for (const [id, { startDate, duration, attr }] of Object.entries(details.dateRanges)) {
      seen.ranges[id] = { start: startDate.getTime(), duration, team: attr["X-TEAM"] };
    }
  });
  player.on("hlsError", (_, { details, fatal }) => seen.errors.push({ details, fatal }));
  const active = (track) => () => {
    for (const { type, value, startTime } of track.activeCues ?? []) {
      if (seen.cues.some((cue) => cue.type === type && cue.key === value.key)) continue;
      const playing = player.playingDate?.getTime();
      seen.cues.push({ type, key: value.key, data: String(value.data ?? value.info), startTime, playing });
    }
  };
  video.textTracks.addEventListener("addtrack", ({ track }) => {
    if (track.kind === "metadata") track.addEventListener("cuechange", active(track));
  });
  player.loadSource(url);
  player.attachMedia(video);
}
