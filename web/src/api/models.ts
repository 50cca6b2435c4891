import { call } from "./http.ts";
import type { Model } from "./types.ts";

/** Names may have slashes in them, which the server takes as they are. */
const at = (name: string, verb = "") => `models/${name.split("/").map(encodeURIComponent).join("/")}${verb}`;

export const listModels = async () => (await call<{ models: Model[] }>("GET", "models")).models;
/** Begins a download, or goes on with one; events tell how far it is. */
export const pullModel = (name: string) => call<void>("POST", at(name, "/pull"), {});
/** What has arrived is kept for the next time. */
export const stopPull = (name: string) => call<void>("DELETE", at(name, "/pull"));
export const loadModel = (name: string) => call<void>("POST", at(name, "/load"), {});
export const unloadModel = (name: string) => call<void>("POST", at(name, "/unload"), {});
export const deleteModel = (name: string) => call<void>("DELETE", at(name));
