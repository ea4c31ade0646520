// What lies over the picture: a message, or what the browser wants a tap for.

import type { Snapshot, Viewer } from "../shell/viewer";
import { useEvents } from "./hooks";
import * as Icon from "./icons";
import { type Message, message } from "./words";

interface Props {
  readonly viewer: Viewer;
  readonly snapshot: Snapshot;
}

export function Overlay({ viewer, snapshot }: Props) {
  const online = useEvents(window, ["online", "offline"], () => navigator.onLine);
  const said = message(viewer.channel, snapshot, online);
  return (
    <>
      {/* Always there, so that a screen reader hears what changes in it. */}
      <div
        class="overlay"
        role="status"
        data-shown={said !== null}
        data-light={said?.mood === "busy" && snapshot.session.broadcast !== null}
      >
        {said && (
          <div class="message">
            {said.mood === "busy" && <span class="spinner" />}
            {said.mood === "waiting" && <span class="onair" />}
            <h2>{said.title}</h2>
            <p>{said.text}</p>
            {said.action && <Action action={said.action} viewer={viewer} />}
          </div>
        )}
      </div>
      {!said && <Invitation viewer={viewer} snapshot={snapshot} />}
    </>
  );
}

function Action({
  action,
  viewer,
}: {
  readonly action: NonNullable<Message["action"]>;
  readonly viewer: Viewer;
}) {
  switch (action) {
    case "home":
      return (
        <a class="button" href="/">
          Go to the start page
        </a>
      );
    case "reload":
      return (
        <button type="button" class="button" onClick={() => location.reload()}>
          Load the page again
        </button>
      );
    case "retry":
      return (
        <button type="button" class="button" onClick={() => viewer.retry()}>
          Try now
        </button>
      );
  }
}

/** Browsers start video muted, and some only after a tap. */
function Invitation({ viewer, snapshot }: Props) {
  const { video } = viewer;
  if (snapshot.blocked) {
    return (
      <button
        type="button"
        class="invitation invitation-play"
        aria-label="Play"
        onClick={() => viewer.play()}
      >
        <Icon.Play />
      </button>
    );
  }
  if (!video.muted || snapshot.session.phase !== "playing") return null;
  return (
    <button
      type="button"
      class="invitation invitation-unmute"
      onClick={() => {
        video.muted = false;
      }}
    >
      <Icon.Muted />
      Unmute
    </button>
  );
}
