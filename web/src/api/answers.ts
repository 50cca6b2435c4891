/** Messages of a chat and the answers to them. Answers are written by the server whether or not anybody watches. */
import { call } from "./http.ts";
import type { ChatNode, Consent, Feedback, Inside, Measure, Terms } from "./types.ts";

interface Nodes {
  nodes: ChatNode[];
}

export type Marks = Partial<Pick<ChatNode, "name" | "favourite" | "pruned">>;

export interface Said {
  parent: number | null;
  text: string;
  attachments: string[];
}

const at = (chat: string, rest: string) => `chats/${chat}/${rest}`;

export const say = (chat: string, said: Said, answer: Terms | null) => call<Nodes>("POST", at(chat, "messages"), { ...said, answer });
export const rewrite = (chat: string, parent: number | null, text: string) =>
  call<Nodes>("POST", at(chat, "messages"), { parent, role: "assistant", text, attachments: [], answer: null });
export const answer = (chat: string, parent: number, variants: Terms[], prefix?: string) =>
  call<Nodes>("POST", at(chat, "answers"), { parent, variants, prefix });
export const continueAnswer = (chat: string, node: number) => call<Nodes>("POST", at(chat, `answers/${node}/continue`), {});
export const stopAnswer = (chat: string, node: number) => call<void>("POST", at(chat, `answers/${node}/stop`), {});
export const consent = (chat: string, node: number, id: string, allow: Consent) =>
  call<void>("POST", at(chat, `answers/${node}/consent`), { call: id, allow });
export const markNode = async (chat: string, node: number, marks: Marks) =>
  (await call<{ node: ChatNode }>("PATCH", at(chat, `nodes/${node}`), marks)).node;
export const giveFeedback = (chat: string, node: number, feedback: Feedback) =>
  call<void>("PUT", at(chat, `nodes/${node}/feedback`), feedback);
export const vote = (chat: string, winner: number, loser: number, blind: boolean) =>
  call<void>("POST", at(chat, "votes"), { winner, loser, blind });
export const measure = (chat: string, said: Said, terms: Terms, signal: AbortSignal) =>
  call<Measure>("POST", at(chat, "measure"), { ...said, terms }, signal);
export const suggest = (chat: string) => call<{ suggestions: string[] }>("POST", at(chat, "suggestions"), {});
export const lookInside = (chat: string, node: number) => call<Inside>("GET", at(chat, `nodes/${node}/inside`));
