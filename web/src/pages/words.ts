import type { Words } from "../lib/i18n.svelte.ts";

/** What is said beside conversations, and what the workshop says, which is much. */
export const beside: Words = {
  en: async () => (await import("../../messages/pages.en.json")).default,
  de: async () => (await import("../../messages/pages.de.json")).default,
};
export const workshop: Words = {
  en: async () => (await import("../../messages/workshop.en.json")).default,
  de: async () => (await import("../../messages/workshop.de.json")).default,
};
