import { expect, test } from "vitest";
import { Pen } from "../../src/state/pen.ts";

const there = (content: string, reasoning = "") => ({ content, reasoning });

function ink() {
  const written: string[] = [];
  const frames: (() => void)[] = [];
  const pen = new Pen(
    (node, { content, reasoning }) => written.push(`${node}:${content}` + (reasoning && `?${reasoning}`)),
    (run) => frames.push(run),
  );
  return { pen, written, frame: () => frames.splice(0).forEach((run) => run()) };
}

test("what arrives between two frames is written at once", () => {
  const { pen, written, frame } = ink();
  expect(pen.take({ node: 1, at: 0, text: "ab" }, there(""))).toBe(true);
  expect(pen.take({ node: 1, at: 2, text: "c" }, there(""))).toBe(true);
  frame();
  expect(written).toEqual(["1:abc"]);
});

test("what is known already is left out", () => {
  const { pen, written, frame } = ink();
  expect(pen.take({ node: 1, at: 2, text: "cdef" }, there("abcd"))).toBe(true);
  frame();
  expect(written).toEqual(["1:ef"]);
});

test("a gap is seen and nothing is written", () => {
  const { pen, written, frame } = ink();
  expect(pen.take({ node: 1, at: 5, text: "f" }, there("abcd"))).toBe(false);
  frame();
  expect(written).toEqual([]);
});

test("what is forgotten is not written", () => {
  const { pen, written, frame } = ink();
  pen.take({ node: 1, at: 0, text: "a" }, there(""));
  pen.take({ node: 2, at: 0, text: "b" }, there(""));
  pen.forget(1);
  frame();
  expect(written).toEqual(["2:b"]);
});

test("thoughts are counted apart from what is said", () => {
  const { pen, written, frame } = ink();
  expect(pen.take({ node: 1, at: 2, reasoning: "m!" }, there("", "Hm"))).toBe(true);
  expect(pen.take({ node: 1, at: 0, text: "So" }, there("", "Hm"))).toBe(true);
  frame();
  expect(written).toEqual(["1:So?m!"]);
});
