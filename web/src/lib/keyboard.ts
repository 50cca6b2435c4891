/** Shortcuts of the whole page. Each has a modifier, so none gets in the way of typing or of a screen reader.
 *
 * What works only while a message has the focus is in `conversation/keys.ts`; both are listed on the sheet.
 */
import type { Key } from "./i18n.svelte.ts";

export interface Shortcut {
  /** As on the sheet: `Mod` is ⌘ or Ctrl. The last part is a `KeyboardEvent.code` without its `Key`. */
  keys: string;
  label: Key;
}

export const shortcuts = {
  send: { keys: "Enter", label: "keys.send" },
  newline: { keys: "Shift+Enter", label: "keys.newline" },
  stop: { keys: "Escape", label: "keys.stop" },
  new: { keys: "Alt+N", label: "keys.new" },
  search: { keys: "Mod+K", label: "keys.search" },
  compose: { keys: "Alt+C", label: "keys.compose" },
  messages: { keys: "Alt+M", label: "keys.messages" },
  sidebar: { keys: "Alt+B", label: "keys.sidebar" },
  tree: { keys: "Alt+T", label: "keys.tree" },
  compare: { keys: "Alt+V", label: "keys.compare" },
  wittier: { keys: "Alt+Period", label: "keys.wittier" },
  drier: { keys: "Alt+Comma", label: "keys.drier" },
  sheet: { keys: "Mod+Slash", label: "keys.sheet" },
} satisfies Record<string, Shortcut>;

export type ShortcutName = keyof typeof shortcuts;
export const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

const running = new Map<ShortcutName, () => void>();

/** Has `run` answer to the shortcut until the function that is returned is called: made for `$effect`. */
export function onShortcut(name: ShortcutName, run: () => void): () => void {
  running.set(name, run);
  return () => void (running.get(name) === run && running.delete(name));
}

window.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || document.querySelector("dialog:modal")) return;
  for (const [name, run] of running) {
    if (!matches(event, shortcuts[name].keys)) continue;
    event.preventDefault();
    run();
    return;
  }
});

function matches(event: KeyboardEvent, keys: string): boolean {
  const parts = keys.split("+");
  const code = parts.pop()!;
  const mod = isMac ? event.metaKey : event.ctrlKey;
  return (
    event.code.replace(/^Key/, "") === code &&
    mod === parts.includes("Mod") &&
    event.altKey === parts.includes("Alt") &&
    event.shiftKey === parts.includes("Shift")
  );
}
