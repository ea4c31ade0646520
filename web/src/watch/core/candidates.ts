// The order in which edges are tried: as steered, except that what just failed comes last.

import type { Edge } from "./steering";

/** One way to reach one edge. */
export interface Candidate {
  readonly node: string;
  readonly region: string;
  /** Base URL without a slash at its end. */
  readonly url: string;
}

/** When each base URL last failed, in milliseconds of the session's clock. */
export type Failures = Readonly<Record<string, number>>;

/** How long a failure counts against a URL: long enough to matter, short enough for a restarted edge. */
export const PENALTY_MS = 30_000;

/** Every URL of every edge, in the order of the steering answer. */
export function flatten(edges: readonly Edge[]): Candidate[] {
  return edges.flatMap(({ node, region, urls }) => urls.map((url) => ({ node, region, url })));
}

/**
 * `candidates` best first. A URL that failed in the last `PENALTY_MS` goes behind those that did not; so do
 * all URLs of `avoid`, the node that failed in mid-play: it is likely to be gone on every port.
 */
export function order(
  candidates: readonly Candidate[],
  failures: Failures,
  now: number,
  avoid: string | null,
): Candidate[] {
  const rank = ({ node, url }: Candidate) =>
    (node === avoid ? 1 : 0) + (now - (failures[url] ?? Number.NEGATIVE_INFINITY) < PENALTY_MS ? 2 : 0);
  return [...candidates].sort((a, b) => rank(a) - rank(b));
}
