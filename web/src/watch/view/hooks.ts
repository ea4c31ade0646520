// How components follow what lives outside of them.

import { useEffect, useState } from "preact/hooks";
import type { Snapshot, Viewer } from "../shell/viewer";

/** The viewer's present snapshot, again after each change. */
export function useSnapshot(viewer: Viewer): Snapshot {
  const [snapshot, setSnapshot] = useState(() => viewer.snapshot());
  useEffect(() => viewer.subscribe(() => setSnapshot(viewer.snapshot())), [viewer]);
  return snapshot;
}

/** Calls `read` now and again after each of the events; for browser state that has no other home. */
export function useEvents<T>(target: EventTarget, types: readonly string[], read: () => T): T {
  const [value, setValue] = useState(read);
  useEffect(() => {
    const update = () => setValue(read());
    for (const type of types) target.addEventListener(type, update);
    return () => {
      for (const type of types) target.removeEventListener(type, update);
    };
  }, [target]);
  return value;
}

/** Runs `handler` on each event of a type while the component is there. */
export function useListener<K extends keyof DocumentEventMap>(
  type: K,
  handler: (event: DocumentEventMap[K]) => void,
): void {
  useEffect(() => {
    document.addEventListener(type, handler);
    return () => document.removeEventListener(type, handler);
  }, [type, handler]);
}
