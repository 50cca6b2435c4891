import { base, call, query } from "./http.ts";
import type { Pair, Rating } from "./types.ts";

export type Licences = "free" | "conditions" | "all";

export const listPairs = (cursor: number) => call<{ pairs: Pair[]; next: number | null }>("GET", "feedback" + query({ cursor }));
export const pairsPath = (licences: Licences) => `${base}feedback/export?licences=${licences}`;

/** Of answers that are in no pair. */
export const listThumbs = (cursor: number) => call<{ thumbs: Rating[]; next: number | null }>("GET", "feedback/thumbs" + query({ cursor }));
export const thumbsPath = (licences: Licences) => `${base}feedback/thumbs/export?licences=${licences}`;
