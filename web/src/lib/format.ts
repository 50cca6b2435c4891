/** Numbers, sizes and times as people write them in the language of the page. */
import { currentLanguage } from "./i18n.svelte.ts";

/** The reader's own way of writing the language of the page, if the browser knows it. */
const locale = () => navigator.languages.find((tag) => tag.startsWith(currentLanguage())) ?? currentLanguage();

export function number(value: number, digits = 0): string {
  return value.toLocaleString(locale(), { maximumFractionDigits: digits });
}

/** With as many digits as its neighbours. */
export function fixed(value: number, digits: number): string {
  return value.toLocaleString(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function percent(share: number, digits = 0): string {
  return share.toLocaleString(locale(), { style: "percent", maximumFractionDigits: digits });
}

export function bytes(count: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(count, 1)) / 3));
  const value = count / 1000 ** step;
  return value.toLocaleString(locale(), {
    style: "unit",
    unit: units[step]!,
    unitDisplay: "short",
    maximumFractionDigits: value < 10 && step > 0 ? 1 : 0,
  });
}

/** `14:05` today, `12 Mar` this year, else with the year. */
export function when(seconds: number): string {
  const date = new Date(seconds * 1000);
  const now = new Date();
  if (date.toDateString() === now.toDateString()) {
    return date.toLocaleTimeString(locale(), { hour: "2-digit", minute: "2-digit" });
  }
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return date.toLocaleDateString(locale(), { day: "numeric", month: "short", year });
}

/** `2 minutes`, `1.5 hours`: as exactly as one would say it of time to come. */
export function duration(seconds: number): string {
  const [unit, each] = seconds < 90 ? ["second", 1] : seconds < 90 * 60 ? ["minute", 60] : ["hour", 3600];
  const digits = each === 3600 && seconds < 10 * 3600 ? 1 : 0;
  return (seconds / Number(each)).toLocaleString(locale(), { style: "unit", unit: String(unit), unitDisplay: "long", maximumFractionDigits: digits });
}

/** The names of languages, or how many they are if they are many. */
export function languageNames(tags: string[]): string {
  const names = new Intl.DisplayNames(locale(), { type: "language" });
  return tags.map((tag) => names.of(tag) ?? tag).join(", ");
}

/** `1.7B` of 1 700 000 000, as the language shortens it. */
export function compact(value: number): string {
  return value.toLocaleString(locale(), { notation: "compact", maximumSignificantDigits: 3 });
}
