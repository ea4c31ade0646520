// Carries out what the session decides: asks, plays, waits, and publishes what the page shows.

import * as clock from "../core/clock";
import { behindLive, isBehind } from "../core/latency";
import type { Sample } from "../core/sample";
import * as session from "../core/session";
import * as choose from "../engine/choose";
import type { Listener, Player } from "../engine/player";
import { Route } from "../engine/route";
import * as ask from "./ask";
import { Playback } from "./playback";
import { Protocols } from "./protocols";

/** How often figures are read while something plays. */
const SAMPLE_MS = 500;

/** After an interruption what was missed may arrive bit by bit; for this long it is skipped. */
const CATCH_UP_MS = 5000;

/** Everything the page shows, at one moment. */
export interface Snapshot {
  readonly session: session.Session;
  readonly sample: Sample | null;
  /** Seconds behind live, null when unknown. */
  readonly latency: number | null;
  /** "Go live" would bring the viewer nearer. */
  readonly behind: boolean;
  readonly stalls: number;
  readonly stalled: boolean;
  /** The browser wants a gesture before it plays. */
  readonly blocked: boolean;
  /** ALPN id of the edge's last answer. */
  readonly protocol: string | null;
  /** What to add to this device's clock, milliseconds. */
  readonly clockOffset: number;
}

/** Watches one channel in one video element, from `start` for as long as the page is open. */
export class Viewer {
  readonly channel: string;
  /** A playback token, for channels that are not for everybody. */
  readonly #token: string | null;
  readonly video: HTMLVideoElement;
  #session = session.create();
  #clock = clock.UNKNOWN;
  #player: Player | null = null;
  #route = new Route("", () => this.#send({ type: "trouble" }));
  /** Counts loads, so that a player that comes late or lingers is told from the present one. */
  #load = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whoever was at the live edge when the picture stood still is brought back there, others keep their place. */
  #wasLive = false;
  #movedAt = Number.NEGATIVE_INFINITY;
  readonly #protocols = new Protocols();
  readonly #playback: Playback;
  readonly #subscribers = new Set<() => void>();

  constructor(channel: string, token: string | null, video: HTMLVideoElement) {
    this.channel = channel;
    this.#token = token;
    this.video = video;
    this.#playback = new Playback(video, {
      moving: (interrupted) => this.#moving(interrupted),
      complete: () => this.#player?.complete ?? false,
      stuck: () => this.#send({ type: this.#player?.complete ? "finished" : "trouble" }),
      ended: () => this.#send({ type: "finished" }),
      changed: () => this.#publish(),
    });
  }

  start(): void {
    addEventListener("online", () => this.retry());
    setInterval(() => this.#player && this.#look(), SAMPLE_MS);
    this.#send({ type: "start" });
  }

  /** Asks again at once instead of waiting for the next try. */
  retry(): void {
    this.#send({ type: "due" });
  }

  /** Calls `subscriber` after each change; returns how to stop that. */
  subscribe(subscriber: () => void): () => void {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  snapshot(): Snapshot {
    const sample = this.#player?.sample() ?? null;
    const { current } = this.#session;
    const clockOffset = clock.offset(this.#clock);
    return {
      session: this.#session,
      sample,
      latency: behindLive(sample?.playingAt ?? null, Date.now(), clockOffset),
      behind: sample !== null && isBehind(sample.currentTime, sample.nearest),
      stalls: this.#playback.stalls,
      stalled: this.#playback.stalled,
      blocked: this.#playback.blocked,
      protocol: current && this.#protocols.of(current.url),
      clockOffset,
    };
  }

  /** Jumps to the nearest position and plays. */
  goLive(): void {
    this.#player?.goLive();
    this.play();
  }

  play(): void {
    this.video.play().catch(() => undefined);
  }

  /** Stays on one rendition, or adapts to the line with null. */
  pin(rendition: number | null): void {
    this.#player?.pin(rendition);
    this.#publish();
  }

  #send(event: session.Event): void {
    const context = { now: performance.now(), random: Math.random() };
    const [next, effects] = session.step(this.#session, event, context);
    this.#session = next;
    for (const effect of effects) this.#perform(effect);
    this.#publish();
  }

  #perform(effect: session.Effect): void {
    switch (effect.type) {
      case "steer":
        void this.#steer();
        break;
      case "probe":
        void ask
          .probe(effect.candidate, this.channel)
          .then((verdict) => this.#send({ type: "probed", candidate: effect.candidate, verdict }));
        break;
      case "load":
        void this.#build(effect.candidate.url);
        break;
      case "reroute":
        this.#route.change(effect.candidate.url);
        this.#player?.reroute();
        break;
      case "stop":
        this.#player?.stop();
        break;
      case "wait":
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#send({ type: "due" }), effect.ms);
        break;
    }
  }

  #moving(interrupted: boolean): void {
    if (interrupted) this.#movedAt = performance.now();
    this.#send({ type: "playing" });
    this.#look();
  }

  async #steer(): Promise<void> {
    const { event, date, sent, received } = await ask.steer(this.channel, this.#token);
    this.#clock = clock.observe(this.#clock, date, sent, received);
    this.#send(event);
  }

  async #build(base: string): Promise<void> {
    this.#player?.destroy();
    this.#player = null;
    this.#wasLive = false;
    const load = ++this.#load;
    const tell = (type: "trouble" | "broken" | "unsupported" | "finished") => () => {
      if (load === this.#load) this.#send({ type });
    };
    const listener: Listener = {
      trouble: tell("trouble"),
      broken: tell("broken"),
      unsupported: tell("unsupported"),
      finished: tell("finished"),
    };
    this.#route = new Route(base, listener.trouble);
    try {
      const path = ask.playlistPath(this.channel);
      const player = await choose.create(this.video, this.#route, path, listener);
      if (load !== this.#load) return player?.destroy();
      if (player === null) return listener.unsupported();
      this.#player = player;
      this.#playback.start();
    } catch {
      // The player's own code could not be fetched: the page's server is away, not the edge.
      listener.broken();
    }
  }

  #look(): void {
    const { stalled, behind } = this.snapshot();
    const settled = performance.now() - this.#movedAt > CATCH_UP_MS;
    if (!settled && this.#wasLive && behind) this.#player?.goLive();
    else if (settled && !stalled) this.#wasLive = !behind && !this.video.paused;
    this.#publish();
  }

  #publish(): void {
    for (const subscriber of this.#subscribers) subscriber();
  }
}
