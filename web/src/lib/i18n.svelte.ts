/** The page's words. English comes with the page, other languages when they are chosen.
 *
 * `t("room.dropped", { count: 3 })` fills `{count}`; a message that is `{one, other}` chooses by `count`.
 */
import en from "../../messages/en.json";
import { preferences } from "../state/preferences.svelte.ts";

export type Key = keyof typeof en;
type Message = string | Partial<Record<Intl.LDMLPluralRule, string>>;
type Messages = Record<Key, Message>;
type Values = Record<string, string | number>;

export const languages = { en: "English", de: "Deutsch" };
export type Language = keyof typeof languages;

const load: Record<Language, () => Promise<Messages>> = {
  en: async () => en,
  de: async () => (await import("../../messages/de.json")).default,
};

let messages = $state.raw<Messages>(en);
let language = $state<Language>("en");
let plurals = new Intl.PluralRules("en");

export function currentLanguage(): Language {
  return language;
}

/** Speaks the language that was chosen, else the first of the browser's that we know. */
export async function startLanguage(): Promise<void> {
  const known = [preferences.language, ...navigator.languages.map((tag) => tag.slice(0, 2))];
  await speak(known.find((tag): tag is Language => tag in languages) ?? "en");
}

export async function chooseLanguage(tag: Language): Promise<void> {
  preferences.language = tag;
  await speak(tag);
}

async function speak(tag: Language): Promise<void> {
  messages = await load[tag]();
  plurals = new Intl.PluralRules(tag);
  language = tag;
  document.documentElement.lang = tag;
}

/** Whether there are words for what a server names. */
export function knows(key: string): key is Key {
  return key in en;
}

export function t(key: Key, values: Values = {}): string {
  const message = messages[key];
  const text = typeof message === "string" ? message : (message[plurals.select(Number(values.count))] ?? message.other ?? "");
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? value.toLocaleString(language) : value;
  });
}
