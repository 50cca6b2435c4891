/** How long a run may take, in words, and what recipes understand of that. What it takes on this machine a plan tells. */
import type { RunSettings } from "../api/workshop-types.ts";

export const lengths = ["tone", "manner", "voice", "character"] as const;
export type Length = (typeof lengths)[number];

/** Shares of what is usual: fewer passes over the data, through fewer layers, leave a lighter touch. */
const parts: Record<Length, { epochs: number; layers: number | null; longest: number | null; rank: number | null }> = {
  tone: { epochs: 1 / 3, layers: 4, longest: 512, rank: 8 },
  manner: { epochs: 2 / 3, layers: 8, longest: 768, rank: 16 },
  voice: { epochs: 1, layers: null, longest: null, rank: null },
  character: { epochs: 2, layers: null, longest: null, rank: 32 },
};

/** The length that such settings are of, if they are of one. */
export function lengthOf(settings: RunSettings, usual: RunSettings): Length | undefined {
  const told = ({ hold: _, ...values }: RunSettings) => JSON.stringify(Object.entries(values).sort());
  return lengths.find((length) => told(settingsOf(length, usual)) === told(settings));
}

/** Where this is silent, the usual counts. */
export function settingsOf(length: Length, usual: RunSettings): RunSettings {
  const { epochs, layers, longest, rank } = parts[length];
  return {
    epochs: Math.max(1, Math.round((usual.epochs ?? 3) * epochs * 10) / 10),
    ...(layers !== null && { top_layers: layers }),
    ...(longest !== null && { longest: Math.min(longest, usual.longest ?? longest) }),
    ...(rank !== null && { rank }),
  };
}
