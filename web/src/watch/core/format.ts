// Figures as people read them.

/** Seconds with one decimal, "1.4 s"; a dash when unknown. */
export function seconds(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return NONE;
  return value >= 100 ? `${Math.round(value)} s` : `${value.toFixed(1)} s`;
}

/** Bits per second, "850 kb/s" or "4.2 Mb/s"; a dash when unknown. */
export function bitrate(bitsPerSecond: number): string {
  if (!(bitsPerSecond > 0)) return NONE;
  if (bitsPerSecond < 999_500) return `${Math.round(bitsPerSecond / 1000)} kb/s`;
  return `${(bitsPerSecond / 1_000_000).toFixed(1)} Mb/s`;
}

/** A rendition's name, "720p"; "Audio only" without a picture. */
export function height(pixels: number): string {
  return pixels > 0 ? `${pixels}p` : "Audio only";
}

/** A count with thousands set apart, "12,345". */
export function count(value: number): string {
  return value.toLocaleString("en");
}

/** Dropped frames as a share of all, "0.3 %"; "0 %" before the first frame. */
export function share(part: number, whole: number): string {
  if (part === 0 || whole === 0) return "0 %";
  const percent = (part / whole) * 100;
  return percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
}

/** An ALPN id (RFC 7301) as a name; a dash when the browser does not tell. */
export function protocol(alpn: string | null): string {
  if (!alpn) return NONE;
  return PROTOCOLS[alpn] ?? alpn;
}

const NONE = "–";

const PROTOCOLS: Readonly<Record<string, string>> = {
  h3: "HTTP/3",
  h2: "HTTP/2",
  "http/1.1": "HTTP/1.1",
  "http/1.0": "HTTP/1.0",
};
