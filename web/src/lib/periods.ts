/** Chats by when something was last said in them, as people remember it. */
import type { Info } from "../api/types.ts";

export const periods = ["pinned", "today", "yesterday", "week", "month", "older"] as const;
export type Period = (typeof periods)[number];

const DAY = 86_400_000; // milliseconds

/** Days of the calendar before `now`, in the time of this machine; a day may have 23 or 25 hours. */
function daysAgo(seconds: number, now: Date): number {
  const midnight = (date: Date) => new Date(date).setHours(0, 0, 0, 0);
  return Math.round((midnight(now) - midnight(new Date(seconds * 1000))) / DAY);
}

export function periodOf(chat: Pick<Info, "updated" | "pinned">, now: Date): Period {
  if (chat.pinned) return "pinned";
  const days = daysAgo(chat.updated, now);
  return days < 1 ? "today" : days < 2 ? "yesterday" : days < 7 ? "week" : days < 30 ? "month" : "older";
}

/** Periods that have chats, each with its own in the order they came. */
export function byPeriod<Chat extends Pick<Info, "updated" | "pinned">>(chats: Chat[], now: Date): [Period, Chat[]][] {
  return periods
    .map((period): [Period, Chat[]] => [period, chats.filter((chat) => periodOf(chat, now) === period)])
    .filter(([, found]) => found.length);
}
