import { call } from "./http.ts";
import type { Persona } from "./types.ts";

export const listPersonas = async () => (await call<{ personas: Persona[] }>("GET", "personas")).personas;
