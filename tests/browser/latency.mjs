// Watches a broadcast whose picture tells the time and prints how late each frame is shown, as JSON.
//
// usage: node latency.mjs '{"url", "seconds", "settle", "profile", "flags": [..]}'

import { launch } from "./launch.mjs";

const { url, seconds, settle, profile, flags } = JSON.parse(process.argv[2]);
const browser = await launch(profile, flags);
try {
  const page = await browser.newPage();
  await page.goto(url);
  await page.waitForFunction(() => (document.querySelector("video")?.currentTime ?? 0) > 0, null, {
    timeout: 20_000,
  });
  // Page time: settling is part of what a viewer does too.
  await page.evaluate((ms) => new Promise((done) => setTimeout(done, ms)), settle * 1000);
  console.log(JSON.stringify(await page.evaluate(measure, seconds)));
} finally {
  await browser.close();
}

/** In the page: reads the two rows of 32 blocks (benches/src/clock.rs) from every frame that is shown. */
async function measure(seconds) {
  const video = document.querySelector("video");
  const [width, height, block] = [128, 72, 4];
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const read = (row) => {
    const y = row * block + block / 2;
    const line = context.getImageData(0, y, width, 1).data;
    let bits = 0;
    for (let i = 0; i < 32; i++) bits = bits * 2 + (line[(i * block + block / 2) * 4] > 128 ? 1 : 0);
    return bits;
  };
  const latencies = [];
  let unreadable = 0;
  let waiting = 0;
  video.addEventListener("waiting", () => waiting++);
  const end = performance.now() + seconds * 1000;
  await new Promise((done) => {
    const frame = (_, { expectedDisplayTime }) => {
      context.drawImage(video, 0, 0, width, height);
      const [time, inverted] = [read(0), read(1)];
      if (time + inverted === 2 ** 32 - 1) {
        const shown = Math.round(performance.timeOrigin + expectedDisplayTime);
        latencies.push((((shown - time) % 2 ** 32) + 2 ** 32) % 2 ** 32);
      } else {
        unreadable++;
      }
      if (performance.now() < end) video.requestVideoFrameCallback(frame);
      else done();
    };
    video.requestVideoFrameCallback(frame);
  });
  const { latency, protocol } = window.nearcast;
  return { latencies, unreadable, waiting, latency, protocol };
}
