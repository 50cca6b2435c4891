import { call } from "./http.ts";
import type { Persona, WholePersona } from "./types.ts";

export const listPersonas = async () => (await call<{ personas: Persona[] }>("GET", "personas")).personas;
export const readPersona = (name: string) => call<WholePersona>("GET", `personas/${encodeURIComponent(name)}`);
export const savePersona = (persona: WholePersona) => call<WholePersona>("PUT", `personas/${encodeURIComponent(persona.name)}`, persona);
export const deletePersona = (name: string) => call<void>("DELETE", `personas/${encodeURIComponent(name)}`);
/** From a character card or a persona's file; `notes` tell what of it has no place here. */
export const takePersona = (file: File) => call<{ persona: WholePersona; notes: string[] }>("POST", "personas/import", file);
