import { expect, test } from "vitest";
import { lengths, settingsOf } from "../../src/workshop/lengths.ts";

const usual = { epochs: 3, rank: 16, top_layers: null, longest: 600 };

test("who has more time learns more often and in more layers", () => {
  const all = lengths.map((length) => settingsOf(length, usual));
  expect(all.map(({ epochs }) => epochs)).toEqual([1, 2, 3, 6]);
  expect(all.map(({ top_layers }) => top_layers)).toEqual([4, 8, undefined, undefined]);
  expect(all.every(({ longest }) => (longest ?? 0) <= 600)).toBe(true);
});

test("what is usual once is not made less", () => {
  expect(settingsOf("tone", { ...usual, epochs: 1 }).epochs).toBe(1);
});
