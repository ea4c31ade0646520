// Builds one HTML page per entry; `npm run dev` serves them as the control plane does.
import { defineConfig, type Plugin } from "vite";

/** Where `npm run dev` finds the API: the control plane of the development world. */
const CONTROL_PLANE = "http://127.0.0.1:8080";

/** The pages, under the same names in `dist/`. */
const PAGES = ["index.html", "watch.html"];

export default defineConfig({
  plugins: [watchPaths()],
  server: { proxy: { "/api": CONTROL_PLANE } },
  build: {
    target: ["es2022", "safari15"],
    // Everything is a file of our own origin: a `data:` URL would need a wider content security policy.
    assetsInlineLimit: 0,
    // hls.js is one lazily loaded chunk of 0.5 MB; anything above that is news.
    chunkSizeWarningLimit: 650,
    rollupOptions: {
      input: PAGES,
    },
  },
});

/** `/watch/{channel}` is the page `watch.html`, whatever the channel. */
function watchPaths(): Plugin {
  return {
    name: "watch-paths",
    configureServer(server) {
      server.middlewares.use((request, _response, next) => {
        if (request.url?.startsWith("/watch/")) request.url = "/watch.html";
        next();
      });
    },
  };
}
