import { expect, test } from "vitest";
import { ticks } from "../../src/ui/axis.ts";

test.each([
  [1.23, 3.3, 4, [1, 2, 3, 4]],
  [0, 40, 6, [0, 10, 20, 30, 40]],
  [0.012, 0.034, 4, [0.01, 0.02, 0.03, 0.04]],
  [2, 2, 4, [2, 2.5]],
  [-0.4, 0.7, 4, [-0.5, 0, 0.5, 1]],
])("from %d to %d in about %d", (low, high, about, expected) => {
  expect(ticks(low, high, about)).toEqual(expected);
});
