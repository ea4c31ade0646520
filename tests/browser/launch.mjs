// Debian's Chromium, headless, with a profile of its own.

import { chromium } from "playwright-core";

/** `flags` are added to what every run needs. */
export function launch(profile, flags) {
  return chromium.launchPersistentContext(profile, {
    executablePath: "/usr/bin/chromium",
    headless: true,
    viewport: { width: 1280, height: 900 },
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--autoplay-policy=no-user-gesture-required",
      ...flags,
    ],
  });
}
