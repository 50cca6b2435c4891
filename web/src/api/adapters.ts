import { call } from "./http.ts";
import type { Adapter } from "./types.ts";

export const listAdapters = async () => (await call<{ adapters: Adapter[] }>("GET", "adapters")).adapters;
export const deleteAdapter = (name: string) => call<void>("DELETE", `adapters/${encodeURIComponent(name)}`);
