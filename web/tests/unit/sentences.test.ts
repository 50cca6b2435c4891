import { expect, test } from "vitest";
import { Sentences, spoken } from "../../src/lib/sentences.ts";

test("a sentence is said once it has ended, and once only", () => {
  const sentences = new Sentences("en");
  expect(sentences.take("One is", false)).toBe("");
  expect(sentences.take("One is done. Two", false)).toBe("One is done.");
  expect(sentences.take("One is done. Two is", false)).toBe("");
  expect(sentences.take("One is done. Two is last", true)).toBe("Two is last");
});

test("marks of markdown are not said", () => {
  expect(spoken("## A *title*\n\n- [one](http://x.y) `two`\n1. three\n> four")).toBe("A title one two three four");
});
