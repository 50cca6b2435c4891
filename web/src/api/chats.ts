import { call, query } from "./http.ts";
import type { Changes, ChatList, Info, Opened } from "./types.ts";

export interface Filter {
  query?: string;
  folder?: string;
  tag?: string;
  state?: "active" | "archived" | "deleted";
  cursor?: string;
  limit?: number;
}

const chatOf = async (method: string, path: string, body: unknown) => (await call<{ chat: Info }>(method, path, body)).chat;

export const listChats = (filter: Filter = {}) => call<ChatList>("GET", "chats" + query({ ...filter }));
export const createChat = (fields: Changes) => chatOf("POST", "chats", fields);
export const openChat = (id: string) => call<Opened>("GET", `chats/${id}`);
export const changeChat = (id: string, changes: Changes) => chatOf("PATCH", `chats/${id}`, changes);
export const deleteChat = (id: string, forever = false) => call<void>("DELETE", `chats/${id}${forever ? "?forever=true" : ""}`);
export const restoreChat = (id: string) => chatOf("POST", `chats/${id}/restore`, {});
export const forkChat = (id: string, node: number) => chatOf("POST", `chats/${id}/fork`, { node });
/** The model names a chat, or, where nothing comes to its mind, the first words do. */
export const nameChat = (id: string) => call<{ title: string; by: "model" | "words" }>("POST", `chats/${id}/title`, {});
export const exportPath = (id: string, format: string) => `/app/api/chats/${id}/export?format=${format}`;
