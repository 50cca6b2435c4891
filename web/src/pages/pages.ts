/** A page per hash route, fetched when it is first seen. A new page needs a line here and nothing else. */
import type { Component } from "svelte";
import { bring, type Words } from "../lib/i18n.svelte.ts";
import type { Route } from "../lib/router.svelte.ts";
import { beside, workshop } from "./words.ts";

type Page = () => Promise<{ default: Component<{ route: Route }> | Component }>;

/** With words that a conversation has no use for. */
const worded =
  (page: Page, ...words: Words[]): Page =>
  async () =>
    (await Promise.all([page(), ...words.map(bring)]))[0];

export const pages: Record<string, Page> = {
  "": () => import("./New.svelte"),
  c: () => import("./Chat.svelte"),
  feedback: worded(() => import("./Feedback.svelte"), beside),
  models: worded(() => import("./Models.svelte"), beside),
  personas: worded(() => import("./Personas.svelte"), beside),
  search: () => import("./Search.svelte"),
  settings: worded(() => import("./Settings.svelte"), beside),
  tools: () => import("./Tools.svelte"),
  workshop: worded(() => import("./Workshop.svelte"), beside, workshop),
};
