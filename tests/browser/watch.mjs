// Opens the viewer page in Chromium, watches it for a while and prints what it saw as JSON.
//
// usage: node watch.mjs '{"url", "seconds", "screenshot", "profile", "flags": [..]}'

import { launch } from "./launch.mjs";

const { url, seconds, screenshot, profile, flags } = JSON.parse(process.argv[2]);
const browser = await launch(profile, flags);

const complaints = [];
try {
  const page = await browser.newPage();
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
  const shown = await page.evaluate(() => document.querySelector(".figures")?.innerText ?? "");
  console.log(JSON.stringify({ ...seen, shown, complaints }));
} finally {
  await browser.close();
}

/** In the page: samples the video four times a second. */
async function watch(seconds) {
  const video = document.querySelector("video");
  let waiting = 0;
  video.addEventListener("waiting", () => waiting++);
  const sample = () => ({
    at: performance.now() / 1000,
    time: video.currentTime,
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
