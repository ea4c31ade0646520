// Opens the viewer page in Chromium, watches it for a while and prints what it saw as JSON. Beside the screenshot it
// leaves a journal: every request, with the playlists that came back, and the samples.
//
// usage: node watch.mjs '{"url", "seconds", "screenshot", "profile", "flags": [..]}'

import { writeFile } from "node:fs/promises";
import { launch } from "./launch.mjs";

const { url, seconds, screenshot, profile, flags } = JSON.parse(process.argv[2]);
const browser = await launch(profile, flags);

const complaints = [];
const journal = [];
try {
  const page = await browser.newPage();
  // What has not ended when the browser is closed is not noted.
  for (const event of ["requestfinished", "requestfailed"])
    page.on(event, (request) => note(request).catch(() => undefined));
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("console", (line) => line.type() === "error" && complaints.push(`console: ${line.text()}`));
  await page.goto(url);
  await page.waitForFunction(() => (document.querySelector("video")?.currentTime ?? 0) > 0, null, {
    timeout: 20_000,
  });
  // A player may jump to the live edge while it starts: the watching begins after a first second of play.
  await page.waitForFunction(() => document.querySelector("video").played.length > 0);

  const seen = await page.evaluate(watch, seconds);
  await page.screenshot({ path: screenshot });
  await writeFile(screenshot.replace(/png$/, "json"), JSON.stringify({ ...seen, complaints, journal }, null, 1));
  const shown = await page.evaluate(() => document.querySelector(".figures")?.innerText ?? "");
  console.log(JSON.stringify({ ...seen, shown, complaints }));
} finally {
  await browser.close();
}

/** `ended` is in milliseconds since the Unix epoch, as is a sample's `clock`, and `took` in milliseconds. */
async function note(request) {
  const entry = { url: request.url(), ended: Date.now(), took: request.timing().responseEnd };
  journal.push(entry);
  const failure = request.failure();
  if (failure) {
    entry.failed = failure.errorText;
    return;
  }
  const response = await request.response();
  entry.status = response.status();
  if (entry.url.includes(".m3u8")) entry.playlist = await response.text();
}

/** In the page: samples the video four times a second. */
async function watch(seconds) {
  const video = document.querySelector("video");
  let waiting = 0;
  video.addEventListener("waiting", () => waiting++);
  const sample = () => ({
    at: performance.now() / 1000,
    clock: Date.now(),
    time: video.currentTime,
    paused: video.paused,
    buffered: Array.from({ length: video.buffered.length }, (_, i) => [video.buffered.start(i), video.buffered.end(i)]),
    state: window.nearcast.state,
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    dropped: video.getVideoPlaybackQuality().droppedVideoFrames,
  });
  const samples = [sample()];
  await new Promise((done) => {
    const timer = setInterval(() => {
      samples.push(sample());
      if (samples.at(-1).at - samples[0].at >= seconds) {
        clearInterval(timer);
        done();
      }
    }, 250);
  });
  const media = performance.getEntriesByType("resource").filter((entry) => entry.name.includes("/live/"));
  const protocols = [...new Set(media.map((entry) => entry.nextHopProtocol).filter(Boolean))];
  return { samples, waiting, protocols, figures: { ...window.nearcast }, requests: media.length };
}
