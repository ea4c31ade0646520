// What the page says in each phase, in plain words that say what happens next or what to do.

import type { Snapshot } from "../shell/viewer";

/** A message over the picture. */
export interface Message {
  readonly title: string;
  readonly text: string;
  /** Something is under way ("busy"), is awaited ("waiting"), or needs the viewer ("stopped"). */
  readonly mood: "busy" | "waiting" | "stopped";
  /** What a button offers, if anything. */
  readonly action: "retry" | "home" | "reload" | null;
}

/** The message for a moment, null while the picture speaks for itself. */
export function message(channel: string, snapshot: Snapshot, online: boolean): Message | null {
  const { session, stalled, blocked } = snapshot;
  switch (session.phase) {
    case "connecting":
      return busy("Finding the nearest server", "This takes a moment.");
    case "loading":
      return blocked ? null : busy("Starting the stream", "The picture is on its way.");
    case "playing":
      return stalled
        ? busy("Buffering", "Your connection is slower than the stream. It goes on by itself.")
        : null;
    case "switching":
      return stalled || session.broadcast === null ? reconnecting(session.current?.node, online) : null;
    case "waiting":
      return wait(
        `${channel} is not live yet`,
        "Leave this page open: the stream starts here by itself as soon as the broadcast begins.",
      );
    case "ended":
      return wait(
        "The broadcast has ended",
        `Thanks for watching. When ${channel} goes live again, it starts here by itself.`,
      );
    case "missing":
      return stop(
        `There is no channel called “${channel}”`,
        "Check the address for a typing error, or ask whoever gave you the link.",
        "home",
      );
    case "refused":
      return stop(
        "You cannot watch this stream",
        "It is for some viewers only: those with a link of their own, or in some countries. Ask whoever gave you the link.",
        "retry",
      );
    case "unreachable":
      return stop(
        online ? "The stream cannot be reached" : "You are offline",
        online
          ? "None of our servers answers at the moment. We keep trying, and the stream starts by itself when one does."
          : "Check your internet connection. The stream starts by itself when you are back.",
        "retry",
      );
    case "unplayable":
      return stop(
        "This browser cannot play the stream",
        "Use a current version of Chrome, Edge, Firefox or Safari. If yours is current, load the page again.",
        "reload",
      );
  }
}

function reconnecting(node: string | undefined, online: boolean): Message {
  if (!online)
    return busy("You are offline", "Check your internet connection. The stream goes on when you are back.");
  return busy("Reconnecting", `The connection to ${node ?? "the server"} was lost. Looking for another one.`);
}

function busy(title: string, text: string): Message {
  return { title, text, mood: "busy", action: null };
}

function wait(title: string, text: string): Message {
  return { title, text, mood: "waiting", action: null };
}

function stop(title: string, text: string, action: Message["action"]): Message {
  return { title, text, mood: "stopped", action };
}
