// A viewing session's life: which edge to ask, when to play, fail over, wait and start again.
//
// Pure: `step` takes an event, the time and a random number, and returns the next session with the effects
// that the shell has to carry out. Each effect but `wait` and `stop` is answered by an event.

import * as backoff from "./backoff";
import { type Candidate, type Failures, flatten, order } from "./candidates";
import type { Steering } from "./steering";

export type Phase =
  | "connecting" // asking where to go
  | "loading" // an edge has the broadcast, no picture yet
  | "playing"
  | "switching" // the edge failed in mid-play: looking for another one
  | "waiting" // the channel is not live
  | "ended" // the broadcast that was watched is over
  | "missing" // there is no such channel
  | "refused" // the edges do not let this viewer watch
  | "unreachable" // neither the platform nor any edge answers
  | "unplayable"; // this browser cannot play the broadcast

export interface Session {
  readonly phase: Phase;
  readonly steering: Steering | null;
  /** When the platform was last asked, in milliseconds. */
  readonly steeredAt: number;
  /** A `steer` effect has not been answered yet. */
  readonly asking: boolean;
  readonly failures: Failures;
  /** Candidates still to be probed, the head first; null when no round is under way. */
  readonly round: readonly Candidate[] | null;
  /** An edge of this round answered, and did not know the channel. */
  readonly absent: boolean;
  /** The edge that serves; kept while another one is looked for. */
  readonly current: Candidate | null;
  /** The broadcast in the player, null when there is none. */
  readonly broadcast: string | null;
  /** The last broadcast that was over, so that its remains are not played again. */
  readonly over: string | null;
  /** Tries since something last went well. */
  readonly attempt: number;
  /** When the route was last decided, to see that it fails at once. */
  readonly routedAt: number;
  /** How often in a row the player itself failed. */
  readonly breaks: number;
}

export type Event =
  | { readonly type: "start" }
  | { readonly type: "steered"; readonly steering: Steering }
  | { readonly type: "steering-failed"; readonly unknownChannel: boolean }
  | { readonly type: "probed"; readonly candidate: Candidate; readonly verdict: Verdict }
  | { readonly type: "playing" }
  /** The player cannot fetch from the current edge, or got nothing new for too long. */
  | { readonly type: "trouble" }
  /** The player itself failed and has to be built anew. */
  | { readonly type: "broken" }
  | { readonly type: "unsupported" }
  /** The player has shown the last frame of an ended playlist. */
  | { readonly type: "finished" }
  /** The time of a `wait` effect has passed, or the device came back online. */
  | { readonly type: "due" };

/** What an edge said when asked for the channel. */
export type Verdict =
  | { readonly kind: "live"; readonly broadcast: string }
  | { readonly kind: "absent" }
  | { readonly kind: "refused" }
  | { readonly kind: "dead" };

export type Effect =
  | { readonly type: "steer" }
  | { readonly type: "probe"; readonly candidate: Candidate }
  /** Build a player for this broadcast. */
  | { readonly type: "load"; readonly candidate: Candidate; readonly broadcast: string }
  /** Let the player go on at the same position, from this edge. */
  | { readonly type: "reroute"; readonly candidate: Candidate }
  /** Fetch no more; the last frame may stay on the screen. */
  | { readonly type: "stop" }
  /** Send `due` after that time; replaces an earlier wait. */
  | { readonly type: "wait"; readonly ms: number };

/** The arguments that make `step` deterministic: milliseconds of any steady clock, and a number in [0, 1). */
export interface Context {
  readonly now: number;
  readonly random: number;
}

export type Step = readonly [Session, readonly Effect[]];

/** A steering answer this old is asked for again before the next poll. */
const STEERING_LIFE_MS = 15_000;

/** A route that fails sooner than this is followed by a pause: two edges must not toss a viewer to and fro. */
const HASTE_MS = 1000;

/** A route that served this long was a good one: what fails later starts a new count. */
const SETTLED_MS = 20_000;

/** A player that fails this often in a row will not play the broadcast. */
const MAX_BREAKS = 3;

export function create(): Session {
  return {
    phase: "connecting",
    steering: null,
    steeredAt: Number.NEGATIVE_INFINITY,
    asking: false,
    failures: {},
    round: null,
    absent: false,
    current: null,
    broadcast: null,
    over: null,
    attempt: 0,
    routedAt: Number.NEGATIVE_INFINITY,
    breaks: 0,
  };
}

export function step(session: Session, event: Event, context: Context): Step {
  switch (event.type) {
    case "start":
      return steer(session);
    case "steered":
      return steered(session, event.steering, context);
    case "steering-failed":
      return steeringFailed(session, event.unknownChannel, context);
    case "probed":
      return probed(session, event.candidate, event.verdict, context);
    case "playing":
      return [session.phase === "loading" ? { ...session, phase: "playing" } : session, []];
    case "trouble":
      return trouble(session, context);
    case "broken":
      return broken(session, context);
    case "unsupported":
      return unplayable(session);
    case "finished":
      return finished(session, context);
    case "due":
      return due(session, context);
  }
}

function steer(session: Session): Step {
  return session.asking ? [session, []] : [{ ...session, asking: true }, [{ type: "steer" }]];
}

function steered(session: Session, steering: Steering, context: Context): Step {
  return beginRound({ ...session, steering, steeredAt: context.now, asking: false }, context);
}

function steeringFailed(session: Session, unknownChannel: boolean, context: Context): Step {
  const answered: Session = { ...session, steeredAt: context.now, asking: false };
  // The control plane is away: the edges that it named earlier are asked all the same.
  if (!unknownChannel) return beginRound(answered, context);
  const missing: Session = { ...answered, phase: "missing", steering: null, attempt: session.attempt + 1 };
  return [missing, [{ type: "wait", ms: backoff.poll(session.attempt, context.random) }]];
}

function beginRound(session: Session, context: Context): Step {
  // An edge that failed in mid-play is avoided as a whole; one that only ended its broadcast is not.
  const avoid = session.phase === "switching" ? (session.current?.node ?? null) : null;
  const candidates = flatten(session.steering?.edges ?? []);
  const round = order(candidates, session.failures, context.now, avoid);
  return askNext({ ...session, round, absent: false }, context);
}

function askNext(session: Session, context: Context): Step {
  const candidate = session.round?.[0];
  if (candidate) return [session, [{ type: "probe", candidate }]];
  return session.absent ? conclude(session, context) : allDead(session, context);
}

function probed(session: Session, candidate: Candidate, verdict: Verdict, context: Context): Step {
  const [head, ...rest] = session.round ?? [];
  // The answer to a round that is no longer under way.
  if (head?.url !== candidate.url) return [session, []];
  switch (verdict.kind) {
    case "dead": {
      const failures = { ...session.failures, [candidate.url]: context.now };
      return askNext({ ...session, round: rest, failures }, context);
    }
    case "absent":
      // Only when an origin is said to be live may another edge know more.
      return askNext({ ...session, round: session.steering?.live ? rest : [], absent: true }, context);
    case "refused":
      return refused(session, context);
    case "live":
      return verdict.broadcast === session.over
        ? conclude({ ...session, round: null }, context)
        : route(session, candidate, verdict.broadcast, context);
  }
}

function route(session: Session, candidate: Candidate, broadcast: string, context: Context): Step {
  const { [candidate.url]: _, ...failures } = session.failures;
  const routed: Session = { ...session, failures, round: null, current: candidate, routedAt: context.now };
  return broadcast === session.broadcast
    ? [{ ...routed, phase: "playing" }, [{ type: "reroute", candidate }]]
    : [{ ...routed, phase: "loading", broadcast }, [{ type: "load", candidate, broadcast }]];
}

/** No edge has a broadcast to play: wait for the next one. */
function conclude(session: Session, context: Context): Step {
  const over = session.broadcast ?? session.over;
  const next: Session = {
    ...session,
    phase: over === null ? "waiting" : "ended",
    round: null,
    broadcast: null,
    over,
    attempt: session.attempt + 1,
  };
  const wait: Effect = { type: "wait", ms: backoff.poll(session.attempt, context.random) };
  return [next, session.broadcast === null ? [wait] : [{ type: "stop" }, wait]];
}

/** An edge knows who may watch as well as any other: ask again later, in case that changes. */
function refused(session: Session, context: Context): Step {
  const next: Session = {
    ...session,
    phase: "refused",
    round: null,
    broadcast: null,
    attempt: session.attempt + 1,
  };
  const wait: Effect = { type: "wait", ms: backoff.poll(session.attempt, context.random) };
  return [next, session.broadcast === null ? [wait] : [{ type: "stop" }, wait]];
}

function allDead(session: Session, context: Context): Step {
  // While the player holds a broadcast it may still be showing what it has buffered.
  const phase = session.broadcast === null ? "unreachable" : "switching";
  const next: Session = { ...session, phase, round: null, attempt: session.attempt + 1 };
  return [next, [{ type: "wait", ms: backoff.retry(session.attempt, context.random) }]];
}

function trouble(session: Session, context: Context): Step {
  const { current } = session;
  const watching = session.phase === "playing" || session.phase === "loading";
  if (!current || !watching) return [session, []];
  const served = context.now - session.routedAt;
  const next: Session = {
    ...session,
    phase: "switching",
    failures: { ...session.failures, [current.url]: context.now },
    attempt: served >= SETTLED_MS ? 0 : session.attempt + 1,
  };
  if (served >= HASTE_MS) return beginRound(next, context);
  return [next, [{ type: "wait", ms: backoff.again(session.attempt, context.random) }]];
}

function broken(session: Session, context: Context): Step {
  const breaks = context.now - session.routedAt >= SETTLED_MS ? 1 : session.breaks + 1;
  if (breaks >= MAX_BREAKS) return unplayable(session);
  return trouble({ ...session, broadcast: null, breaks }, context);
}

function unplayable(session: Session): Step {
  return [{ ...session, phase: "unplayable", round: null, broadcast: null }, [{ type: "stop" }]];
}

function finished(session: Session, context: Context): Step {
  if (session.broadcast === null) return [session, []];
  const ended: Session = {
    ...session,
    phase: "ended",
    broadcast: null,
    over: session.broadcast,
    attempt: 0,
    round: null,
  };
  return [ended, [{ type: "stop" }, { type: "wait", ms: backoff.poll(0, context.random) }]];
}

function due(session: Session, context: Context): Step {
  const watching =
    session.phase === "playing" || session.phase === "loading" || session.phase === "unplayable";
  if (watching || session.round !== null) return [session, []];
  const stale = session.steering === null || context.now - session.steeredAt >= STEERING_LIFE_MS;
  return stale ? steer(session) : beginRound(session, context);
}
