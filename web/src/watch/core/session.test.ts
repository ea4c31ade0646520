import { describe, expect, it } from "vitest";
import type { Candidate } from "./candidates";
import { create, type Effect, type Event, type Session, step, type Verdict } from "./session";
import type { Steering } from "./steering";

const EDGES = [
  { node: "eu-1", region: "eu", urls: ["https://eu", "http://eu"] },
  { node: "us-1", region: "us", urls: ["https://us"] },
];
const LIVE: Verdict = { kind: "live", broadcast: "b1" };
const ABSENT: Verdict = { kind: "absent" };
const DEAD: Verdict = { kind: "dead" };
const REFUSED: Verdict = { kind: "refused" };

/** A session in virtual time, with what it asked for last. */
class Run {
  session: Session = create();
  effects: readonly Effect[] = [];
  now = 0;

  send(event: Event): this {
    [this.session, this.effects] = step(this.session, event, { now: this.now, random: 0.5 });
    return this;
  }

  /** Lets time pass without an event. */
  after(ms: number): this {
    this.now += ms;
    return this;
  }

  steered(live = true, edges: Steering["edges"] = EDGES): this {
    return this.send({ type: "steered", steering: { channel: "demo", live, edges } });
  }

  /** Answers the probe that is asked for. */
  probed(verdict: Verdict): this {
    return this.send({ type: "probed", candidate: this.probe(), verdict });
  }

  probe(): Candidate {
    const effect = this.effects.find((effect) => effect.type === "probe");
    if (effect?.type !== "probe") throw new Error(`no probe in ${JSON.stringify(this.effects)}`);
    return effect.candidate;
  }

  wait(): number {
    const effect = this.effects.find((effect) => effect.type === "wait");
    if (effect?.type !== "wait") throw new Error(`no wait in ${JSON.stringify(this.effects)}`);
    return effect.ms;
  }

  types(): string[] {
    return this.effects.map(({ type }) => type);
  }
}

const started = () => new Run().send({ type: "start" });
const playing = () => started().steered().probed(LIVE).send({ type: "playing" });

describe("finding an edge", () => {
  it("asks for steering, then the first URL of the first edge", () => {
    const run = started();
    expect(run.types()).toEqual(["steer"]);
    expect(run.steered().probe().url).toBe("https://eu");
  });

  it("plays from the first edge that has the broadcast", () => {
    const run = started().steered().probed(LIVE);
    expect(run.effects).toEqual([
      { type: "load", broadcast: "b1", candidate: { node: "eu-1", region: "eu", url: "https://eu" } },
    ]);
    expect(run.session.phase).toBe("loading");
    expect(run.send({ type: "playing" }).session.phase).toBe("playing");
  });

  it("tries the next URL, then the next edge, when one is dead or not trusted", () => {
    const run = started().steered().probed(DEAD);
    expect(run.probe().url).toBe("http://eu");
    expect(run.probed(DEAD).probe().url).toBe("https://us");
    expect(run.probed(LIVE).session.current?.node).toBe("us-1");
  });

  it("says unreachable when all are dead, and tries again later each time", () => {
    const run = started().steered().probed(DEAD).probed(DEAD).probed(DEAD);
    expect(run.session.phase).toBe("unreachable");
    const first = run.wait();
    run.after(first).send({ type: "due" }).probed(DEAD).probed(DEAD).probed(DEAD);
    expect(run.wait()).toBeGreaterThan(first);
  });

  it("says that a viewer may not watch, asks no other edge for it, and asks again", () => {
    const run = started().steered().probed(REFUSED);
    expect(run.session.phase).toBe("refused");
    expect(run.types()).toEqual(["wait"]);
    expect(run.after(run.wait()).send({ type: "due" }).probed(LIVE).session.phase).toBe("loading");
  });

  it("stops what plays when the viewer is sent away", () => {
    const run = playing().after(60_000).send({ type: "trouble" }).probed(REFUSED);
    expect(run.session.phase).toBe("refused");
    expect(run.types()).toEqual(["stop", "wait"]);
  });

  it("says unreachable when there are no edges", () => {
    expect(started().steered(true, []).session.phase).toBe("unreachable");
  });

  it("says that a channel is missing, and asks again in case it is made", () => {
    const run = started().send({ type: "steering-failed", unknownChannel: true });
    expect(run.session.phase).toBe("missing");
    expect(run.after(run.wait()).send({ type: "due" }).types()).toEqual(["steer"]);
  });

  it("asks the edges that it knows while the control plane is away", () => {
    const run = started().steered(false).probed(ABSENT).after(60_000).send({ type: "due" });
    expect(run.types()).toEqual(["steer"]);
    expect(run.send({ type: "steering-failed", unknownChannel: false }).probe().url).toBe("https://eu");
  });

  it("does not ask for steering twice at a time", () => {
    expect(started().send({ type: "due" }).effects).toEqual([]);
  });

  it("ignores the answer to a probe that it no longer waits for", () => {
    const run = started().steered();
    const late = run.probe();
    run.probed(DEAD);
    expect(run.send({ type: "probed", candidate: late, verdict: LIVE }).effects).toEqual([]);
  });
});

describe("waiting", () => {
  it("waits after one edge that does not know a channel that is not live", () => {
    const run = started().steered(false).probed(ABSENT);
    expect(run.session.phase).toBe("waiting");
    expect(run.types()).toEqual(["wait"]);
  });

  it("asks every edge when the channel is said to be live", () => {
    const run = started().steered(true).probed(ABSENT);
    expect(run.probed(ABSENT).probed(LIVE).session.current?.node).toBe("us-1");
  });

  it("starts by itself when the broadcast begins", () => {
    const run = started().steered(false).probed(ABSENT);
    run.after(run.wait()).send({ type: "due" });
    expect(run.probed(LIVE).types()).toEqual(["load"]);
  });

  it("polls two seconds apart at first and at most five later", () => {
    const run = started().steered(false).probed(ABSENT);
    const waits = [run.wait()];
    for (let i = 0; i < 40; i++) {
      run.after(run.wait()).send({ type: "due" });
      if (run.types()[0] === "steer") run.steered(false);
      waits.push(run.probed(ABSENT).wait());
    }
    expect(waits[0]).toBe(2000);
    expect(Math.max(...waits)).toBe(5000);
  });
});

describe("failing over", () => {
  it("moves to another node at the same position", () => {
    const run = playing().after(5000).send({ type: "trouble" });
    expect(run.session.phase).toBe("switching");
    expect(run.probe().url).toBe("https://us");
    expect(run.probed(LIVE).effects).toEqual([
      { type: "reroute", candidate: { node: "us-1", region: "us", url: "https://us" } },
    ]);
    expect(run.session.phase).toBe("playing");
  });

  it("comes back to the same node when no other one answers", () => {
    const run = playing().after(5000).send({ type: "trouble" });
    expect(run.probed(DEAD).probe().url).toBe("http://eu");
    expect(run.probed(LIVE).types()).toEqual(["reroute"]);
  });

  it("keeps the player and tries again while nothing answers", () => {
    const run = playing().after(5000).send({ type: "trouble" }).probed(DEAD).probed(DEAD).probed(DEAD);
    expect(run.session).toMatchObject({ phase: "switching", broadcast: "b1" });
    run.after(run.wait()).send({ type: "due" });
    expect(run.probed(LIVE).types()).toEqual(["reroute"]);
  });

  it("pauses before it leaves a route that failed at once", () => {
    const run = playing().after(5000).send({ type: "trouble" }).probed(LIVE).send({ type: "trouble" });
    expect(run.types()).toEqual(["wait"]);
  });

  it("handles many failed requests as one failure", () => {
    const run = playing().after(5000).send({ type: "trouble" });
    expect(run.send({ type: "trouble" }).effects).toEqual([]);
  });

  it("plays the next broadcast when that is what it finds", () => {
    const run = playing().after(5000).send({ type: "trouble" }).probed({ kind: "live", broadcast: "b2" });
    expect(run.effects).toMatchObject([{ type: "load", broadcast: "b2" }]);
  });

  it("builds a broken player anew, and gives up on the third in a row", () => {
    const run = playing();
    for (let i = 0; i < 2; i++) {
      run.after(5000).send({ type: "broken" });
      expect(run.probed(LIVE).types()).toEqual(["load"]);
    }
    run.after(5000).send({ type: "broken" });
    expect(run.session.phase).toBe("unplayable");
    expect(run.send({ type: "due" }).effects).toEqual([]);
  });
});

describe("ending", () => {
  it("waits for the next broadcast and does not play what is left of the last", () => {
    const run = playing().after(5000).send({ type: "finished" });
    expect(run.session.phase).toBe("ended");
    expect(run.types()).toEqual(["stop", "wait"]);
    run.after(run.wait()).send({ type: "due" }).probed(LIVE);
    expect(run.session.phase).toBe("ended");
    run.after(run.wait()).send({ type: "due" }).probed({ kind: "live", broadcast: "b2" });
    expect(run.effects).toMatchObject([{ type: "load", broadcast: "b2" }]);
  });

  it("has ended when the edges no longer know a broadcast that was playing", () => {
    const run = playing().after(5000).send({ type: "trouble" }).probed(ABSENT).probed(ABSENT).probed(ABSENT);
    expect(run.session).toMatchObject({ phase: "ended", over: "b1" });
    expect(run.types()).toEqual(["stop", "wait"]);
  });

  it("stays ended while the channel is unknown to the edges", () => {
    const run = playing().after(5000).send({ type: "finished" }).after(2000).send({ type: "due" });
    expect(run.probed(ABSENT).probed(ABSENT).probed(ABSENT).session.phase).toBe("ended");
  });
});
