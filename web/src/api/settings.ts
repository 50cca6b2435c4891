import { call } from "./http.ts";
import type { Setting } from "./types.ts";

interface Settings {
  settings: Setting[];
}

export const readSettings = async () => (await call<Settings>("GET", "settings")).settings;
/** Null goes back to the default. */
export const changeSettings = async (changes: Record<string, Setting["value"]>) =>
  (await call<Settings>("PATCH", "settings", changes)).settings;
