// The mark and the name, which lead home from every page.

/** A link to `/`. */
export function Brand() {
  return (
    <a class="brand" href="/">
      <svg viewBox="0 0 32 32" width="26" height="26" fill="none" aria-hidden="true">
        <circle cx="9" cy="23" r="4" class="brand-dot" />
        <g class="brand-waves">
          <path d="M9 12.5A10.5 10.5 0 0 1 19.5 23" />
          <path d="M9 4.5A18.5 18.5 0 0 1 27.5 23" />
        </g>
      </svg>
      <span>Nearcast</span>
    </a>
  );
}
