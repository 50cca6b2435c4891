import { expect, test } from "vitest";
import { byPeriod, periodOf } from "../../src/lib/periods.ts";

const now = new Date(2026, 2, 30, 9, 30); // the day after clocks went forward in Europe
const at = (...date: [number, number, number, number?]) => ({ updated: new Date(...date).getTime() / 1000, pinned: false });

test.each([
  ["today", at(2026, 2, 30)],
  ["yesterday", at(2026, 2, 29, 23)],
  ["yesterday", at(2026, 2, 29)],
  ["week", at(2026, 2, 28, 23)],
  ["week", at(2026, 2, 24)],
  ["month", at(2026, 2, 23, 23)],
  ["older", at(2026, 1, 28, 23)],
  ["today", at(2026, 3, 2)], // a clock that was wrong once
  ["pinned", { ...at(2020, 0, 1), pinned: true }],
] as const)("%s", (period, chat) => {
  expect(periodOf(chat, now)).toBe(period);
});

test("periods come in their order, without those that have nothing, and chats in the order they had", () => {
  const chats = [at(2020, 0, 1), at(2026, 2, 30, 8), at(2026, 2, 30, 9)];
  expect(byPeriod(chats, now)).toEqual([["today", [chats[1], chats[2]]], ["older", [chats[0]]]]);
});
