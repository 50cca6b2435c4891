/** Personas as the editor has them: a new one, and a copy under a name that is free. */
import type { WholePersona } from "../api/types.ts";

const LONGEST = 40; // characters of a name

/** The name itself, or one like it that nobody has: letters, digits, `-` and `_` only. */
export function freeName(wished: string, taken: string[]): string {
  const plain = wished.toLowerCase().normalize("NFKD").replace(/[^a-z0-9_-]+/g, "-").replace(/^[-_]+|-+$/g, "");
  const base = plain.slice(0, LONGEST - 4) || "persona";
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!taken.includes(name)) return name;
  }
}

export function newPersona(name: string, texts: { description: string; system: string; greeting: string }): WholePersona {
  const { description, system, greeting } = texts;
  return { name, description, own: true, stop: [], sampling: {}, voices: [{ wit: 0, system, greeting, examples: [] }] };
}

/** What is sent: voices by wit, the first from 0, and no pair of an example that is empty on both sides. */
export function tidied(persona: WholePersona): WholePersona {
  const voices = persona.voices
    .map((voice) => ({ ...voice, examples: voice.examples.filter((pair) => pair.some((text) => text.trim())) }))
    .toSorted((a, b) => a.wit - b.wit);
  return { ...persona, voices: voices.map((voice, i) => (i ? voice : { ...voice, wit: 0 })) };
}
