// The viewer page: header, stage, title, figures.

import { Brand } from "../../shared/Brand";
import type { Viewer } from "../shell/viewer";
import { Figures } from "./Figures";
import { useSnapshot } from "./hooks";
import { Stage } from "./Stage";

export function Page({ viewer }: { readonly viewer: Viewer }) {
  const snapshot = useSnapshot(viewer);
  const { phase } = snapshot.session;
  const live = phase === "playing" || phase === "switching" || phase === "loading";
  return (
    <>
      <header class="top">
        <Brand />
      </header>
      <main class="page">
        <Stage viewer={viewer} snapshot={snapshot} />
        <div class="title">
          <h1>{viewer.channel}</h1>
          <span class="badge" data-live={live}>
            {live ? "Live" : "Off air"}
          </span>
          {live && (
            <p class="keys">
              <kbd>k</kbd> play <kbd>m</kbd> mute <kbd>l</kbd> go live <kbd>f</kbd> full screen
            </p>
          )}
        </div>
        {live && <Figures snapshot={snapshot} />}
      </main>
    </>
  );
}
