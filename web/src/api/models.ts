import { call } from "./http.ts";
import type { Model } from "./types.ts";

export const listModels = async () => (await call<{ models: Model[] }>("GET", "models")).models;
