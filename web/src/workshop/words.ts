import type { Words } from "../lib/i18n.svelte.ts";

/** What only the workshop says, which is much. */
export const words: Words = {
  en: async () => (await import("../../messages/workshop.en.json")).default,
  de: async () => (await import("../../messages/workshop.de.json")).default,
};
