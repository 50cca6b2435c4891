/** A page per hash route, fetched when it is first seen. A new page needs a line here and nothing else. */
import type { Component } from "svelte";
import type { Route } from "../lib/router.svelte.ts";

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
  workshop: () => import("./Workshop.svelte"),
};
