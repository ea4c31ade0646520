// The picture with everything that lies over it, and the keys that work it.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Snapshot, Viewer } from "../shell/viewer";
import { Controls, toggleMute, togglePlay } from "./Controls";
import { toggleFullscreen } from "./fullscreen";
import { useListener } from "./hooks";
import { Overlay } from "./Overlay";

/** The controls leave this long after the last movement. */
const IDLE_MS = 2500;

interface Props {
  readonly viewer: Viewer;
  readonly snapshot: Snapshot;
}

export function Stage({ viewer, snapshot }: Props) {
  const { video } = viewer;
  const stage = useRef<HTMLElement>(null);
  const screen = useRef<HTMLDivElement>(null);
  const [idle, wake, sleep] = useIdle();
  useEffect(() => screen.current?.append(video), [video]);

  const onFullscreen = () => stage.current && toggleFullscreen(stage.current, video);
  useListener("keydown", (event) => {
    if (isTyping(event)) return;
    const action = {
      k: () => togglePlay(viewer),
      " ": () => togglePlay(viewer),
      m: () => toggleMute(video),
      f: onFullscreen,
      l: () => viewer.goLive(),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    wake();
    action();
  });

  const onPress = (event: PointerEvent) => {
    // A finger brings the controls or sends them away; a mouse plays and pauses.
    if (event.pointerType === "mouse") togglePlay(viewer);
    else if (idle) wake();
    else sleep();
  };
  const watching = snapshot.session.broadcast !== null && !video.paused;
  return (
    <section
      ref={stage}
      class="stage"
      aria-label="Player"
      data-idle={idle && watching}
      onPointerMove={(event) => event.pointerType === "mouse" && wake()}
    >
      {/* The keys above and the controls below do all that pressing the picture does. */}
      <div class="screen" ref={screen} onPointerUp={onPress} />
      <Overlay viewer={viewer} snapshot={snapshot} />
      <Controls viewer={viewer} snapshot={snapshot} onFullscreen={onFullscreen} />
    </section>
  );
}

/** Whether nobody has moved for a while, and how to start and end that. */
function useIdle(): [idle: boolean, wake: () => void, sleep: () => void] {
  const [idle, setIdle] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const sleep = useCallback(() => setIdle(true), []);
  const wake = useCallback(() => {
    setIdle(false);
    clearTimeout(timer.current);
    timer.current = setTimeout(sleep, IDLE_MS);
  }, [sleep]);
  useEffect(wake, [wake]);
  return [idle, wake, sleep];
}

/** Keys that belong to the focused element, or to the browser. */
function isTyping({ target, ctrlKey, metaKey, altKey, key }: KeyboardEvent): boolean {
  if (ctrlKey || metaKey || altKey) return true;
  const element = target instanceof Element ? target : null;
  if (element?.closest("input, select, textarea, [role=menu]")) return true;
  return key === " " && element?.closest("button, a") !== null;
}
