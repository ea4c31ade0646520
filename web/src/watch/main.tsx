// The viewer page's beginning: `/watch/{channel}`, with `#token=TOKEN` where a playback token is needed. What is behind the
// hash stays in the browser: no server's log has it.

import { render } from "preact";
import "../shared/base.css";
import "./view/watch.css";
import * as choose from "./engine/choose";
import { expose } from "./shell/expose";
import { Viewer } from "./shell/viewer";
import { Page } from "./view/Page";

const channel = channelOf(location.pathname);
const page = document.getElementById("page");
if (channel === null) location.replace("/");
else if (page) watch(channel, page);

function watch(channel: string, page: HTMLElement): void {
  document.title = `${channel} · Nearcast`;
  const viewer = new Viewer(channel, tokenOf(location.hash), createVideo());
  expose(viewer);
  render(<Page viewer={viewer} />, page);
  viewer.start();
  choose.prefetch(viewer.video);
}

function createVideo(): HTMLVideoElement {
  const video = document.createElement("video");
  // Muted inline video is what browsers let start by itself.
  video.muted = true;
  video.playsInline = true;
  return video;
}

/** The playback token that a hash holds, null when it holds none. */
function tokenOf(hash: string): string | null {
  return new URLSearchParams(hash.slice(1)).get("token") || null;
}

/** The channel that a path names, null when it names none. */
function channelOf(path: string): string | null {
  const name = /^\/watch\/([^/]+)\/?$/.exec(path)?.[1];
  try {
    return name === undefined ? null : decodeURIComponent(name);
  } catch {
    return null;
  }
}
