// The start page: name a channel, watch it.

import { render } from "preact";
import "../shared/base.css";
import "./landing.css";
import { Brand } from "../shared/Brand";

const page = document.getElementById("page");
if (page) render(<Landing />, page);

function Landing() {
  return (
    <>
      <header class="top">
        <Brand />
      </header>
      <main class="landing">
        <h1>Watch live, from nearby</h1>
        <p>Enter the name of a channel. You are taken to the server closest to you.</p>
        <form onSubmit={watch}>
          <label for="channel">Channel</label>
          <div class="field">
            <input
              id="channel"
              name="channel"
              required
              autocomplete="off"
              autocapitalize="none"
              spellcheck={false}
              pattern="[a-z0-9][a-z0-9_\-]{0,62}"
              title="Small letters, digits, - and _; up to 63 of them"
              placeholder="demo"
            />
            <button type="submit" class="button">
              Watch
            </button>
          </div>
        </form>
      </main>
    </>
  );
}

function watch(event: SubmitEvent): void {
  event.preventDefault();
  const channel = new FormData(event.currentTarget as HTMLFormElement).get("channel");
  if (typeof channel === "string") location.assign(`/watch/${encodeURIComponent(channel.trim())}`);
}
