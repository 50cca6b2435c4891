/** A page per hash route, fetched when it is first seen. A new page needs a line here and nothing else. */
import type { Component } from "svelte";
import { bring } from "../lib/i18n.svelte.ts";
import type { Route } from "../lib/router.svelte.ts";
import { words } from "../workshop/words.ts";

type Page = () => Promise<{ default: Component<{ route: Route }> | Component }>;

export const pages: Record<string, Page> = {
  "": () => import("./New.svelte"),
  c: () => import("./Chat.svelte"),
  feedback: () => import("./Feedback.svelte"),
  models: () => import("./Models.svelte"),
  personas: () => import("./Personas.svelte"),
  search: () => import("./Search.svelte"),
  settings: () => import("./Settings.svelte"),
  tools: () => import("./Tools.svelte"),
  workshop: async () => (await Promise.all([import("./Workshop.svelte"), bring(words)]))[0],
};
