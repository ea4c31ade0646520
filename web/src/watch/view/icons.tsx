// The icons of the controls, drawn on a grid of 24 and coloured by their text.

import type { ComponentChildren } from "preact";

function icon(children: ComponentChildren) {
  return () => (
    <svg viewBox="0 0 24 24" width="22" height="22" fill="currentColor" aria-hidden="true">
      {children}
    </svg>
  );
}

const LINE = { fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linecap": "round" } as const;

export const Play = icon(
  <path d="M7 4.6v14.8c0 .8.9 1.3 1.6.8l11-7.4c.6-.4.6-1.2 0-1.6l-11-7.4C7.9 3.3 7 3.8 7 4.600Z" />,
);

export const Pause = icon(
  <>
    <rect x="6" y="4" width="4.2" height="16" rx="1.2" />
    <rect x="13.8" y="4" width="4.2" height="16" rx="1.2" />
  </>,
);

const SPEAKER = (
  <path d="M4 9.200v5.600c0 .5.4.9.9.9H8l4.3 3.900c.6.5 1.5.1 1.5-.7V5.100c0-.8-.9-1.2-1.5-.7L8 8.300H4.900c-.5 0-.9.4-.9.9Z" />
);

export const Sound = icon(
  <>
    {SPEAKER}
    <path {...LINE} d="M16.8 9a4.2 4.2 0 0 1 0 6M19.3 6.500a7.8 7.8 0 0 1 0 11" />
  </>,
);

export const Muted = icon(
  <>
    {SPEAKER}
    <path {...LINE} d="m17 9.5 5 5m0-5-5 5" />
  </>,
);

export const Quality = icon(
  <>
    <path {...LINE} d="M4 7h7m5 0h4M4 17h3m5 0h8" />
    <circle cx="13.5" cy="7" r="2.5" />
    <circle cx="9.5" cy="17" r="2.5" />
  </>,
);

export const EnterFullscreen = icon(<path {...LINE} d="M4 9V4h5m6 0h5v5m0 6v5h-5m-6 0H4v-5" />);

export const LeaveFullscreen = icon(<path {...LINE} d="M9 4v5H4m16 0h-5V4m0 16v-5h5M4 15h5v5" />);

export const Check = icon(<path {...LINE} d="m5 12.5 4.5 4.500L19 7.5" />);

export const PictureInPicture = icon(
  <>
    <path {...LINE} d="M20 11V6a1 1 0 0 0-1-1H5a1 1 0 0 0-1 1v12a1 1 0 0 0 1 1h5" />
    <rect x="13" y="13.5" width="8" height="6" rx="1" />
  </>,
);
