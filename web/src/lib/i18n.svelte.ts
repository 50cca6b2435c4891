/** The page's words. English comes with the page, other languages when they are chosen, and what a page of many words
 * says when that is first seen (`bring`).
 *
 * `t("room.dropped", { count: 3 })` fills `{count}`; a message that is `{one, other}` chooses by `count`.
 */
import en from "../../messages/en.json";
import { preferences } from "../state/preferences.svelte.ts";

type Pages = typeof import("../../messages/pages.en.json") & typeof import("../../messages/workshop.en.json");
export type Key = keyof typeof en | keyof Pages;
type Message = string | Partial<Record<Intl.LDMLPluralRule, string>>;
type Messages = Record<Key, Message>;
type Values = Record<string, string | number>;

export const languages = { en: "English", de: "Deutsch" };
export type Language = keyof typeof languages;

export type Words = Record<Language, () => Promise<Partial<Messages>>>;

const known: Words[] = [{ en: async () => en, de: async () => (await import("../../messages/de.json")).default }];

let messages = $state.raw<Partial<Messages>>(en);
let language = $state<Language>("en");
let plurals = new Intl.PluralRules("en");

export function currentLanguage(): Language {
  return language;
}

/** Speaks the language that was chosen, else the first of the browser's that we know. */
export async function startLanguage(): Promise<void> {
  const wanted = [preferences.language, ...navigator.languages.map((tag) => tag.slice(0, 2))];
  await speak(wanted.find((tag): tag is Language => tag in languages) ?? "en");
}

export async function chooseLanguage(tag: Language): Promise<void> {
  preferences.language = tag;
  await speak(tag);
}

/** Has these words beside the others, in the language that is spoken. */
export async function bring(words: Words): Promise<void> {
  if (known.includes(words)) return;
  known.push(words);
  await speak(language);
}

async function speak(tag: Language): Promise<void> {
  const all = await Promise.all(known.map((words) => words[tag]()));
  messages = Object.assign({}, ...all);
  plurals = new Intl.PluralRules(tag);
  language = tag;
  document.documentElement.lang = tag;
}

/** Whether there are words for what a server names. */
export function knows(key: string): key is Key {
  return key in messages;
}

export function t(key: Key, values: Values = {}): string {
  const message = messages[key];
  const text = typeof message === "string" ? message : (message?.[plurals.select(Number(values.count))] ?? message?.other ?? "");
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? value.toLocaleString(language) : value;
  });
}
