import { call } from "./http.ts";
import type { Session } from "./types.ts";

export const readSession = () => call<Session>("GET", "session");
export const enter = (key: string) => call<Session>("POST", "session", { key });
export const leave = () => call<void>("DELETE", "session");
