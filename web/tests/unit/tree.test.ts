import { expect, test } from "vitest";
import { Tree } from "../../src/lib/tree.ts";

const twig = (id: number, parent: number | null, pruned = false) => ({ id, parent, pruned });
//  1 ── 2 ── 4
//   └── 3 (pruned) ── 5          6: a second root
const tree = new Tree([twig(4, 2), twig(1, null), twig(3, 1, true), twig(2, 1), twig(5, 3), twig(6, null)]);

test("a path goes from the root to a leaf", () => {
  expect(tree.path(4)).toEqual([1, 2, 4]);
  expect(tree.path(null)).toEqual([]);
  expect(tree.path(99)).toEqual([]);
});

test("siblings share a parent, roots too; what is pruned shows only to itself", () => {
  expect(tree.siblings(2)).toEqual([2]);
  expect(tree.siblings(3)).toEqual([2, 3]);
  expect(tree.siblings(1)).toEqual([1, 6]);
});

test("the way down takes the newest branch that is not pruned", () => {
  expect(tree.newest(1)).toBe(4);
  expect(tree.newest(3)).toBe(5);
});
