/** Keys of a message that has the focus. Single letters are free there: nothing is being typed. */
import type { Shortcut } from "../lib/keyboard.ts";

export const messageKeys = {
  up: { keys: "↑", label: "keys.up" },
  down: { keys: "↓", label: "keys.down" },
  previous: { keys: "←", label: "keys.previous" },
  next: { keys: "→", label: "keys.next" },
  edit: { keys: "E", label: "action.edit" },
  copy: { keys: "C", label: "action.copy" },
  redo: { keys: "R", label: "action.redo" },
  look: { keys: "I", label: "action.look" },
  fork: { keys: "F", label: "action.fork" },
  favourite: { keys: "S", label: "action.favourite" },
} satisfies Record<string, Shortcut>;

export type MessageKey = keyof typeof messageKeys;

const codes: Record<string, MessageKey> = {
  ArrowUp: "up",
  ArrowDown: "down",
  ArrowLeft: "previous",
  ArrowRight: "next",
  KeyE: "edit",
  KeyC: "copy",
  KeyR: "redo",
  KeyI: "look",
  KeyF: "fork",
  KeyS: "favourite",
};

/** What a key means to the message that has the focus itself, and not something in it. */
export function messageKey(event: KeyboardEvent): MessageKey | null {
  if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return null;
  return codes[event.code] ?? null;
}
