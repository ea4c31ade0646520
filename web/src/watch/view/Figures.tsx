// How the playback is doing, in six figures.

import * as format from "../core/format";
import type { Snapshot } from "../shell/viewer";

export function Figures({ snapshot }: { readonly snapshot: Snapshot }) {
  const { session, sample, latency, stalls, protocol } = snapshot;
  const edge = session.current;
  const rendition = sample?.rendition;
  const decoded = sample?.decodedFrames ?? 0;
  const dropped = sample?.droppedFrames ?? 0;
  return (
    <section class="figures" aria-label="Playback figures">
      <dl>
        <Figure name="Behind live" value={format.seconds(latency)} detail="from the camera" />
        <Figure
          name="Rendition"
          value={rendition ? format.height(rendition.height) : "–"}
          detail={[rendition && format.bitrate(rendition.bitrate), sample?.pinned == null ? "auto" : "fixed"]}
        />
        <Figure
          name="Edge"
          value={edge?.node ?? "–"}
          detail={[edge?.region, edge && format.protocol(protocol)]}
        />
        <Figure
          name="Dropped frames"
          value={format.count(dropped)}
          detail={`${format.share(dropped, decoded)} of ${format.count(decoded)}`}
        />
        <Figure name="Buffer" value={format.seconds(sample?.buffer ?? null)} detail="ready to play" />
        <Figure name="Stalls" value={format.count(stalls)} detail="since page load" />
      </dl>
    </section>
  );
}

interface FigureProps {
  readonly name: string;
  readonly value: string;
  readonly detail: string | readonly (string | null | undefined)[];
}

function Figure({ name, value, detail }: FigureProps) {
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd class="figure-value">{value}</dd>
      <dd class="figure-detail">
        {typeof detail === "string" ? detail : detail.filter(Boolean).join(" · ")}
      </dd>
    </div>
  );
}
