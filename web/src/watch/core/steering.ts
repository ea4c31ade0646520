// What `GET /api/v1/steer/{channel}` answers, checked before it is believed.

/** One edge and its base URLs, best first. */
export interface Edge {
  readonly node: string;
  readonly region: string;
  readonly urls: readonly string[];
}

/** Edges for this viewer, best first. */
export interface Steering {
  readonly channel: string;
  /** True while an origin reports the channel live; only a hint, an edge knows better. */
  readonly live: boolean;
  readonly edges: readonly Edge[];
}

/** The same edges, asked with a playback token: it stands before every path, where each player keeps it. */
export function withToken(steering: Steering, token: string | null): Steering {
  if (token === null) return steering;
  const urls = (edge: Edge) => edge.urls.map((url) => `${url}/~${encodeURIComponent(token)}`);
  return { ...steering, edges: steering.edges.map((edge) => ({ ...edge, urls: urls(edge) })) };
}

/** Reads an answer's JSON; null when it is not a steering answer. Edges that cannot be used are left out. */
export function parse(json: unknown): Steering | null {
  if (!isRecord(json) || typeof json["channel"] !== "string" || !Array.isArray(json["edges"])) return null;
  return {
    channel: json["channel"],
    live: json["live"] === true,
    edges: json["edges"].map(edge).filter((edge) => edge !== null),
  };
}

function edge(json: unknown): Edge | null {
  if (!isRecord(json) || typeof json["node"] !== "string" || !Array.isArray(json["urls"])) return null;
  const urls = json["urls"].filter(isHttpUrl).map((url) => url.replace(/\/+$/, ""));
  const region = typeof json["region"] === "string" ? json["region"] : "";
  return urls.length > 0 ? { node: json["node"], region, urls } : null;
}

function isHttpUrl(value: unknown): value is string {
  return typeof value === "string" && /^https?:\/\/./.test(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
