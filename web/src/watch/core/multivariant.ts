// Which broadcast a multivariant playlist is of.

/**
 * The broadcast id: the first path segment of the first variant's relative URI
 * (`{broadcast}/{rendition}/media.m3u8`). Null when the text is not a multivariant playlist.
 */
export function broadcast(text: string): string | null {
  if (!text.startsWith("#EXTM3U")) return null;
  const uri = text.split(/\r?\n/).find((line) => line !== "" && !line.startsWith("#"));
  const segments = uri?.split("?")[0]?.split("/") ?? [];
  return segments.length >= 3 ? (segments.at(-3) ?? null) : null;
}
