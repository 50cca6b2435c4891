/** What the server sends and takes under /app/api/workshop. Times are seconds since 1970, sizes bytes. */

import type { Licences } from "./feedback.ts";

/** From conversations, texts, pairs of a better and a worse answer, or thumbs. */
export type Method = "sft" | "text" | "dpo" | "kto";
export type RunStatus = "planning" | "planned" | "queued" | "running" | "stopped" | "cancelled" | "succeeded" | "failed";

export interface Workshop {
  available: boolean;
  why: string | null;
  models: { name: string; bytes: number; default: boolean }[];
  adapters: { name: string; base: string | null; method: string | null; bytes: number; run: string | null }[];
  /** What settings are where a draft leaves them out. */
  usual: Record<Method, Required<RunSettings>>;
  limits: { upload: number; files: number; runs: number };
  /** Free on the disk. */
  room: number;
}

export interface Material {
  /** Conversations with a thumb up. */
  lessons: number;
  pairs: number;
  /** On answers that are in no pair. */
  thumbs: number;
  /** Answers that are not learnt from, by why. */
  left_out: Record<string, number>;
}

export interface DataFile {
  id: string;
  name: string;
  bytes: number;
  created: number;
}

export interface Import {
  taken: Record<string, number>;
  refused: number;
  problems: { line: number; text: string }[];
}

export type Kind = "damaged" | "empty" | "duplicate" | "truncated" | "leak" | "licence" | "alike" | "unclear";

export interface Check {
  wrong: boolean;
  counts: { lines: number; lessons: number; preferences: number; thumbs: number; texts: number };
  found: Partial<Record<Kind, number>>;
  findings: { line: number; kind: Kind; text: string }[];
}

export interface RunSettings {
  epochs?: number | null;
  batch?: number | null;
  learning_rate?: number | null;
  rank?: number | null;
  /** Layers that learn; null: all. */
  top_layers?: number | null;
  /** Tokens of a sample. */
  longest?: number | null;
  /** How strongly it is held to what the model knows; null and 0: not at all. */
  hold?: number | null;
  beta?: number | null;
  seed?: number | null;
}

export interface Draft {
  model: string;
  method: Method;
  name?: string;
  chats?: Licences | null;
  files?: string[];
  settings?: RunSettings;
  /** That it is asked while it learns. */
  questions?: string[];
}

export interface Plan {
  samples: number;
  valid: number;
  tokens: number;
  learnt: number;
  cut: number;
  duplicates: number;
  parameters: number;
  steps: number;
  seconds: number;
  memory: number;
  disk: number;
  disk_afterwards: number;
}

export interface Run {
  id: string;
  name: string;
  model: string;
  method: Method;
  origin: "app" | "api";
  status: RunStatus;
  created: number;
  started: number | null;
  finished: number | null;
  /** Runs and plans that come before it. */
  ahead: number;
  /** Files by their names and their ids, which need not be here any more. */
  data: { chats: Licences | null; files: string[]; given: string[]; valid: number };
  settings: RunSettings;
  plan: Plan | null;
  samples: number | null;
  step: number;
  steps: number | null;
  loss: number | null;
  valid_loss: number | null;
  tokens_per_second: number | null;
  seconds_left: number | null;
  error: string | null;
  /** Its name on the shelf, where it is there. */
  adapter: string | null;
}

export interface Point {
  step: number;
  loss: number;
}

/** On what it does not learn from; step 0 is before anything is learnt. */
export interface Judged {
  step: number;
  loss: number;
  figures: Record<string, number>;
}

/** What it says to a question as it learns. */
export interface Tried {
  step: number;
  prompt: string;
  text: string;
}

export interface Trouble {
  file: string;
  line: number;
  text: string;
}

export interface OpenedRun {
  run: Run;
  points: Point[];
  judged: Judged[];
  notes: { at: number; text: string }[];
  tried: Tried[];
  problems: Trouble[];
}
