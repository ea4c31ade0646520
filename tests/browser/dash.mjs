// Plays a DASH manifest with a player of others', live and with low latency side by side, and prints what it saw as JSON.
//
// usage: node dash.mjs '{"player": "dash.js" or "shaka", "url", "start", "seconds", "screenshot", "profile", "flags": [..]}'
// `start` is the manifest's availability start time in seconds since the Unix epoch.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { launch } from "./launch.mjs";

const { player, url, start, seconds, screenshot, profile, flags } = JSON.parse(process.argv[2]);
const SCRIPTS = {
  "dash.js": "node_modules/dashjs/dist/modern/umd/dash.mediaplayer.min.js",
  shaka: "node_modules/shaka-player/dist/shaka-player.dash-es2021.js",
};
const script = await readFile(new URL(SCRIPTS[player], import.meta.url));
const document = `<!doctype html><title>${player}</title><script src="/player.js"></script>
  <video id="live" muted width="480"></video><video id="low" muted width="480"></video>`;
const server = createServer((request, response) => {
  const page = request.url === "/";
  response.writeHead(200, { "content-type": page ? "text/html" : "text/javascript" });
  response.end(page ? document : script);
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));

const browser = await launch(profile, flags);
const complaints = [];
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.evaluate(player === "shaka" ? shakaPlayer : dashPlayer, url);
  const playing = (names) => names.every((name) => document.getElementById(name).currentTime > 0);
  await page.waitForFunction(playing, ["live", "low"], { timeout: 20_000 });
  const seen = await page.evaluate(watch, { seconds, start });
  await page.screenshot({ path: screenshot });
  console.log(JSON.stringify({ ...seen, complaints: [...complaints, ...seen.complaints] }));
} finally {
  await browser.close();
  server.close();
}

/** In the page. */
function dashPlayer(url) {
  window.complaints = [];
  for (const [name, low] of [["live", false], ["low", true]]) {
    const player = dashjs.MediaPlayer().create();
    player.on("error", ({ error }) => complaints.push(`${name}: ${error.code} ${error.message}`));
    // Without the manifest's latency target it is suggestedPresentationDelay that counts.
    player.updateSettings({
      streaming: { delay: { applyServiceDescription: low }, liveCatchup: { enabled: low } },
    });
    player.initialize(document.getElementById(name), url, true);
    window[name] = { latency: () => player.getCurrentLiveLatency() };
  }
}

/** In the page. */
async function shakaPlayer(url) {
  window.complaints = [];
  shaka.polyfill.installAll();
  for (const [name, low] of [["live", false], ["low", true]]) {
    const player = new shaka.Player();
    const video = document.getElementById(name);
    await player.attach(video);
    player.addEventListener("error", ({ detail }) => complaints.push(`${name}: ${detail.code} ${detail.data}`));
    // It counts the manifest's latency target from what it takes for the live edge: now less the suggested delay.
    const manifest = { dash: { ignoreSuggestedPresentationDelay: low } };
    player.configure({ streaming: { lowLatencyMode: low }, manifest });
    window[name] = { latency: () => player.getStats().liveLatency };
    player.load(url).then(() => video.play(), (error) => complaints.push(`${name}: ${error.code} ${error.data}`));
  }
}

/** In the page: lets both settle for some seconds, then samples them four times a second. */
async function watch({ seconds, start }) {
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  await sleep(4000);
  const videos = Object.fromEntries(["live", "low"].map((name) => [name, document.getElementById(name)]));
  const seen = Object.fromEntries(Object.keys(videos).map((name) => [name, { waiting: 0, samples: [] }]));
  for (const [name, video] of Object.entries(videos)) {
    video.addEventListener("waiting", () => seen[name].waiting++);
  }
  const begun = performance.now();
  do {
    for (const [name, video] of Object.entries(videos)) {
      const { totalVideoFrames: frames, droppedVideoFrames: dropped } = video.getVideoPlaybackQuality();
      seen[name].samples.push({
        at: performance.now() / 1000,
        time: video.currentTime,
        frames,
        dropped,
        // By the clock of this machine, which is the origin's too, whatever the player thinks.
        latency: Date.now() / 1000 - start - video.currentTime,
        told: window[name].latency(),
      });
    }
    await sleep(250);
  } while (performance.now() - begun < seconds * 1000);
  const media = performance.getEntriesByType("resource").filter((entry) => entry.name.includes("/live/"));
  const protocols = [...new Set(media.map((entry) => entry.nextHopProtocol).filter(Boolean))];
  return { ...seen, protocols, requests: media.length, complaints: window.complaints };
}
