import { base, call } from "./http.ts";
import type { Report } from "./types.ts";

export const takeIn = (file: File) => call<Report>("POST", "import", file);
export const everythingPath = (format: string) => `${base}export?format=${format}`;
export const databasePath = `${base}export/database`;
