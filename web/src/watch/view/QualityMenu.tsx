// The menu of renditions: a button and a list of radio items (WAI-ARIA menu button pattern).

import { useEffect, useRef, useState } from "preact/hooks";
import * as format from "../core/format";
import type { Rendition, Sample } from "../core/sample";
import { useListener } from "./hooks";
import * as Icon from "./icons";

interface Props {
  readonly sample: Sample | null;
  readonly onPin: (rendition: number | null) => void;
}

/** Lists Auto and each rendition; nothing where the browser chooses alone. */
export function QualityMenu({ sample, onPin }: Props) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (open) root.current?.querySelector<HTMLElement>('[aria-checked="true"]')?.focus();
  }, [open]);
  useListener("pointerdown", (event) => {
    if (!root.current?.contains(event.target as Node)) setOpen(false);
  });

  if (!sample || sample.renditions.length === 0) return null;
  const { renditions, pinned, rendition } = sample;

  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  const choose = (id: number | null) => {
    onPin(id);
    close();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (!open) return;
    if (event.key === "Escape" || event.key === "Tab") close();
    else if (!moveFocus(root.current, event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys bubble up from the button and the items
    <div class="quality" ref={root} onKeyDown={onKeyDown}>
      <button
        ref={button}
        type="button"
        class="control control-wide"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-label={`Quality: ${label(pinned, rendition)}`}
        onClick={() => setOpen(!open)}
      >
        <Icon.Quality />
        <span>{label(pinned, rendition)}</span>
      </button>
      {open && (
        <div class="menu" role="menu" aria-label="Quality">
          <p class="menu-title" aria-hidden="true">
            Quality
          </p>
          <Item
            name="Auto"
            detail={pinned === null && rendition ? format.height(rendition.height) : "Adapts to your line"}
            checked={pinned === null}
            onChoose={() => choose(null)}
          />
          {renditions.map((each) => (
            <Item
              key={each.id}
              name={format.height(each.height)}
              detail={format.bitrate(each.bitrate)}
              checked={pinned === each.id}
              onChoose={() => choose(each.id)}
            />
          ))}
        </div>
      )}
    </div>
  );
}

interface ItemProps {
  readonly name: string;
  readonly detail: string;
  readonly checked: boolean;
  readonly onChoose: () => void;
}

function Item({ name, detail, checked, onChoose }: ItemProps) {
  return (
    <button
      type="button"
      class="menu-item"
      role="menuitemradio"
      aria-checked={checked}
      tabIndex={-1}
      onClick={onChoose}
    >
      <span class="menu-check">{checked && <Icon.Check />}</span>
      <span>{name}</span>
      <span class="menu-detail">{detail}</span>
    </button>
  );
}

function label(pinned: number | null, rendition: Rendition | null): string {
  const height = rendition ? format.height(rendition.height) : "";
  return pinned === null ? `Auto ${height}`.trim() : height;
}

/** Moves to another item; false when the key is none that does. */
function moveFocus(root: HTMLElement | null, key: string): boolean {
  const items = [...(root?.querySelectorAll<HTMLElement>('[role="menuitemradio"]') ?? [])];
  const at = items.indexOf(document.activeElement as HTMLElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[key];
  if (to === undefined) return false;
  items.at(to % items.length)?.focus();
  return true;
}
