import { base, call, query } from "./http.ts";
import type { Pair } from "./types.ts";

export type Licences = "free" | "conditions" | "all";

export const listPairs = (cursor: number) => call<{ pairs: Pair[]; next: number | null }>("GET", "feedback" + query({ cursor }));
export const pairsPath = (licences: Licences) => `${base}feedback/export?licences=${licences}`;
