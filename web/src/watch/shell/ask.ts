// The page's own requests: where to go, and whether an edge has the channel.

import type { Candidate } from "../core/candidates";
import * as multivariant from "../core/multivariant";
import type { Event, Verdict } from "../core/session";
import * as steering from "../core/steering";

/** The control plane answers from memory; later than this it is taken for away. */
const STEER_TIMEOUT_MS = 4000;

/** An edge that does not know a channel asks its origins first, which takes a round trip or two. */
const PROBE_TIMEOUT_MS = 3000;

/** An answer with the times that a clock can be read from, milliseconds since the epoch. */
export interface Timed {
  readonly event: Event;
  readonly date: number;
  readonly sent: number;
  readonly received: number;
}

/** The path of a channel's multivariant playlist, the same on every edge. */
export function playlistPath(channel: string): string {
  return `/live/${encodeURIComponent(channel)}/index.m3u8`;
}

/** Asks the control plane which edges serve this viewer, who may have a playback token. */
export async function steer(channel: string, token: string | null): Promise<Timed> {
  const sent = Date.now();
  try {
    const response = await get(`/api/v1/steer/${encodeURIComponent(channel)}`, STEER_TIMEOUT_MS);
    const received = Date.now();
    const date = Date.parse(response.headers.get("date") ?? "");
    return { event: await steeringEvent(response, token), date, sent, received };
  } catch {
    return {
      event: { type: "steering-failed", unknownChannel: false },
      date: Number.NaN,
      sent,
      received: sent,
    };
  }
}

async function steeringEvent(response: Response, token: string | null): Promise<Event> {
  const answer = response.ok ? steering.parse(await response.json()) : null;
  if (answer) return { type: "steered", steering: steering.withToken(answer, token) };
  // 400 is a name that no channel can have.
  return { type: "steering-failed", unknownChannel: response.status === 404 || response.status === 400 };
}

/** Asks an edge for the channel's multivariant playlist. */
export async function probe(candidate: Candidate, channel: string): Promise<Verdict> {
  try {
    const response = await get(candidate.url + playlistPath(channel), PROBE_TIMEOUT_MS);
    if (response.status === 404) return { kind: "absent" };
    if (response.status === 401 || response.status === 403) return { kind: "refused" };
    const broadcast = response.ok ? multivariant.broadcast(await response.text()) : null;
    return broadcast === null ? { kind: "dead" } : { kind: "live", broadcast };
  } catch {
    return { kind: "dead" };
  }
}

function get(url: string, timeout: number): Promise<Response> {
  return fetch(url, { signal: AbortSignal.timeout(timeout), credentials: "omit" });
}
