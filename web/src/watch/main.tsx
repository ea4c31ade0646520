// The viewer page's beginning: `/watch/{channel}`.

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
  const viewer = new Viewer(channel, createVideo());
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

/** The channel that a path names, null when it names none. */
function channelOf(path: string): string | null {
  const name = /^\/watch\/([^/]+)\/?$/.exec(path)?.[1];
  try {
    return name === undefined ? null : decodeURIComponent(name);
  } catch {
    return null;
  }
}
