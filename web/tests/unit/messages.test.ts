import { expect, test } from "vitest";
import de from "../../messages/de.json";
import en from "../../messages/en.json";
import pagesDe from "../../messages/pages.de.json";
import pagesEn from "../../messages/pages.en.json";
import workshopDe from "../../messages/workshop.de.json";
import workshopEn from "../../messages/workshop.en.json";

type Messages = Record<string, string | Record<string, string>>;
const texts = (message: string | Record<string, string>) => (typeof message === "string" ? [message] : Object.values(message));
const values = (text: string) => [...new Set(text.match(/\{\w+\}/g))].sort();

test.each([[en, de], [pagesEn, pagesDe], [workshopEn, workshopDe]])("German has the keys of English, in the order of the alphabet", (english, german) => {
  expect(Object.keys(german)).toEqual(Object.keys(english));
  expect(Object.keys(english)).toEqual(Object.keys(english).sort());
});

const english: Messages = { ...en, ...pagesEn, ...workshopEn };
const german: Messages = { ...de, ...pagesDe, ...workshopDe };

test("nothing is said in two files", () => {
  expect(Object.keys(english).length).toBe([en, pagesEn, workshopEn].flatMap(Object.keys).length);
});

test.each(Object.keys(english))("%s says something and names the same values in both languages", (key) => {
  const both = [english[key]!, german[key]!];
  const named = both.map((message) => texts(message).map(values));
  expect(both.flatMap(texts).every((text) => text.trim())).toBe(true);
  expect(new Set(named.flat().map(String)).size).toBe(1);
});
