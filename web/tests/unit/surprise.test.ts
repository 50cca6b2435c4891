import { expect, test } from "vitest";
import { before, surprise } from "../../src/inside/surprise.ts";

test("a word is the more surprising the less likely it was", () => {
  const shares = [1, 0.8, 0.5, 0.1, 0.05, 0.001];
  expect(shares.map((share) => surprise(Math.log(share)))).toEqual([0, 0, 1, 2, 3, 4]);
  expect(surprise(null)).toBe(0);
});

test("an answer is known up to a word, behind what it began with, unless its tokens are no text", () => {
  expect(before("So, a fly", 4, ["a", " fly"], 1)).toBe("So, a");
  expect(before("So, a fly", 0, ["So", ","], 0)).toBe("");
  expect(before("é!", 0, ["\ufffd", "\ufffd", "!"], 2)).toBeNull();
});
