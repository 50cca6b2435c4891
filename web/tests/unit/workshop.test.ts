import { expect, test } from "vitest";
import { lengthOf, lengths, settingsOf } from "../../src/workshop/lengths.ts";
import { whyOf } from "../../src/workshop/why.ts";

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

test("settings tell of which length they are, and errors what may be done", () => {
  for (const length of lengths) expect(lengthOf(settingsOf(length, usual), usual)).toBe(length);
  for (const length of lengths) expect(lengthOf({ ...settingsOf(length, usual), hold: 4 }, usual)).toBe(length);
  expect(lengthOf({ epochs: 17 }, usual)).toBeUndefined();
  expect(whyOf("its process was killed by signal 9, as happens where memory runs out; resume goes on from there")).toBe("memory");
  expect(whyOf("the loss of step 3 is nan; choose a smaller learning_rate than 1")).toBe("diverged");
  expect(whyOf("data has nothing that can be learnt by the method kto")).toBe("nothing");
  expect(whyOf("rain")).toBe("unknown");
});
