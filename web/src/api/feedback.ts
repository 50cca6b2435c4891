import { base, call, query } from "./http.ts";
import type { Feedback, Pair, Rating } from "./types.ts";

export interface Withdrawn {
  opinions: (Feedback & { node: number })[];
  vote: { winner: number; loser: number; blind: boolean } | null;
}

export type Licences = "free" | "conditions" | "all";

export const listPairs = (cursor: number) => call<{ pairs: Pair[]; next: number | null }>("GET", "feedback" + query({ cursor }));
export const pairsPath = (licences: Licences) => `${base}feedback/export?licences=${licences}`;

/** Takes back what makes a pair, and answers with what that was. */
export const withdraw = ({ chat, because, nodes: [better, worse] }: Pair) =>
  call<Withdrawn>("DELETE", `chats/${chat}/pairs/${because}/${better}/${worse}`);

/** Of answers that are in no pair. */
export const listThumbs = (cursor: number) => call<{ thumbs: Rating[]; next: number | null }>("GET", "feedback/thumbs" + query({ cursor }));
export const thumbsPath = (licences: Licences) => `${base}feedback/thumbs/export?licences=${licences}`;
