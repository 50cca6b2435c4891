import { expect, test } from "vitest";
import { Tree } from "../../src/lib/tree.ts";

const twig = (id: number, parent: number | null, pruned = false) => ({ id, parent, pruned, role: "user", dropped: null });
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

test("rows go from the top down, deeper after each fork, with pruned branches or without", () => {
  const rows = (pruned: boolean) => tree.rows(pruned).map(({ id, depth }) => `${id}:${depth}`);
  expect(rows(true)).toEqual(["1:0", "2:1", "4:1", "3:1", "5:1", "6:0"]);
  expect(rows(false)).toEqual(["1:0", "2:0", "4:0", "6:0"]);
});

test("a long chain is no deeper than its forks, and as long as it is", () => {
  const chain = new Tree(Array.from({ length: 20_000 }, (_, i) => twig(i + 1, i || null)));
  expect(chain.rows(false)).toHaveLength(20_000);
  expect(chain.rows(false).at(-1)).toEqual({ id: 20_000, depth: 0 });
});

test("the way down takes the newest branch that is not pruned", () => {
  expect(tree.newest(1)).toBe(4);
  expect(tree.newest(3)).toBe(5);
});
