import { call } from "./http.ts";
import type { Tools } from "./types.ts";

export interface Offered {
  tools: { name: string; description: string; parameters: unknown }[];
  problems: string[];
}

const at = (name: string) => `tools/${encodeURIComponent(name)}`;

export const listTools = () => call<Tools>("GET", "tools");
/** Starts the server, if it is a program. */
export const askServer = (name: string) => call<Offered>("GET", at(name));
export const saveServer = (name: string, place: { url: string } | { searxng: string }) => call<Tools>("PUT", at(name), place);
export const deleteServer = (name: string) => call<Tools>("DELETE", at(name));
export const allowTools = (persona: string, allowed: string[]) =>
  call<Tools>("PUT", `tools/personas/${encodeURIComponent(persona)}`, { allowed });
