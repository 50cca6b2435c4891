import { call, query } from "./http.ts";
import type { Check, DataFile, Draft, Import, Material, OpenedRun, Run, Workshop } from "./workshop-types.ts";
import type { Licences } from "./feedback.ts";

const runOf = async (method: string, path: string, body?: unknown) => (await call<{ run: Run }>(method, path, body)).run;

export const readWorkshop = () => call<Workshop>("GET", "workshop");
/** What the chats have to learn from; it takes a second or two. */
export const readMaterial = (licences: Licences) => call<Material>("GET", "workshop/material" + query({ licences }));

export const listDataFiles = async () => (await call<{ files: DataFile[] }>("GET", "workshop/files")).files;
export const addDataFile = (file: File) =>
  call<{ file: DataFile; import: Import | null }>("POST", "workshop/files" + query({ name: file.name }), file);
export const checkDataFile = (id: string) => call<Check>("GET", `workshop/files/${id}/check`);
export const deleteDataFile = (id: string) => call<void>("DELETE", `workshop/files/${id}`);

export const listRuns = async () => (await call<{ runs: Run[] }>("GET", "workshop/runs")).runs;
/** Plans a run: its data is gathered, and some of its steps are timed. */
export const planRun = (draft: Draft) => runOf("POST", "workshop/runs", draft);
export const openRun = (id: string) => call<OpenedRun>("GET", `workshop/runs/${id}`);
export const startRun = (id: string) => runOf("POST", `workshop/runs/${id}/start`, {});
/** It keeps a checkpoint. */
export const stopRun = (id: string) => runOf("POST", `workshop/runs/${id}/stop`, {});
export const resumeRun = (id: string) => runOf("POST", `workshop/runs/${id}/resume`, {});
/** With what came of it, if `adapter`. */
export const deleteRun = (id: string, adapter: boolean) => call<void>("DELETE", `workshop/runs/${id}${adapter ? "?adapter=true" : ""}`);
