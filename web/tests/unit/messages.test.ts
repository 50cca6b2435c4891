import { expect, test } from "vitest";
import de from "../../messages/de.json";
import en from "../../messages/en.json";

type Messages = Record<string, string | Record<string, string>>;
const texts = (message: string | Record<string, string>) => (typeof message === "string" ? [message] : Object.values(message));
const values = (text: string) => [...new Set(text.match(/\{\w+\}/g))].sort();

test("German has the keys of English, in the order of the alphabet", () => {
  expect(Object.keys(de)).toEqual(Object.keys(en));
  expect(Object.keys(en)).toEqual(Object.keys(en).sort());
});

test.each(Object.keys(en))("%s says something and names the same values in both languages", (key) => {
  const both = [(en as Messages)[key]!, (de as Messages)[key]!];
  const named = both.map((message) => texts(message).map(values));
  expect(both.flatMap(texts).every((text) => text.trim())).toBe(true);
  expect(new Set(named.flat().map(String)).size).toBe(1);
});
