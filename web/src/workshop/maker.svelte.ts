/** What is chosen for a character that is to be made, and the draft that comes of it. */
import type { Licences } from "../api/feedback.ts";
import type { Check, DataFile, Draft, Material, Method, Run, Workshop } from "../api/workshop-types.ts";
import { t } from "../lib/i18n.svelte.ts";
import { lengthOf, settingsOf, type Length } from "./lengths.ts";

export const sources = ["lessons", "pairs", "thumbs", "files"] as const;
export type Source = (typeof sources)[number];

export interface Checked {
  file: DataFile;
  check: Check | null;
  chosen: boolean;
}

const methods: Record<Exclude<Source, "files">, Method> = { lessons: "sft", pairs: "dpo", thumbs: "kto" };

const HELD = 4; // as a recipe has it: costs of changing what the model says of other things, beside those of learning

export class Making {
  source = $state<Source>("lessons");
  licences = $state<Licences>("free");
  material = $state.raw<Material | null>(null);
  files = $state.raw<Checked[]>([]);
  model = $state("");
  name = $state("");
  length = $state<Length>("manner");
  /** What the model knows. */
  keeps = $state(false);
  /** Ids of files that are chosen as soon as they are known. */
  wanted: string[] = [];

  chosen = $derived(this.files.filter(({ chosen }) => chosen));
  /** How many things of each method there are in the chosen files. */
  private counted = $derived.by(() => {
    const sum = (of: (check: Check) => number) => this.chosen.reduce((total, { check }) => total + (check ? of(check) : 0), 0);
    return [
      ["sft", sum(({ counts }) => counts.lessons)],
      ["dpo", sum(({ counts }) => counts.preferences)],
      ["kto", sum(({ counts }) => counts.thumbs)],
      ["text", sum(({ counts }) => counts.texts)],
    ] as [Method, number][];
  });
  /** Of files, the method that most of them is for. */
  method = $derived.by(() => {
    if (this.source !== "files") return methods[this.source];
    return this.counted.reduce((most, one) => (one[1] > most[1] ? one : most))[0];
  });
  /** Whether files have things of several kinds, of which one is learnt. */
  mixed = $derived(this.source === "files" && this.counted.filter(([, count]) => count).length > 1);
  /** Whether there are lines in them that nobody can learn from: they are corrected first. */
  damaged = $derived(this.source === "files" && this.chosen.some(({ check }) => check?.found.damaged));
  count = $derived(
    this.source === "files" ? this.counted.find(([method]) => method === this.method)![1] : (this.material?.[this.source] ?? 0),
  );

  /** As another run was thought up. Of its files, those that are still here are chosen. */
  takeOver(run: Run, workshop: Workshop): void {
    const source = sources.find((one) => one !== "files" && methods[one] === run.method);
    this.source = run.data.given.length || !source ? "files" : source;
    this.licences = run.data.chats ?? "free";
    this.wanted = run.data.given;
    this.name = run.name;
    if (workshop.models.some(({ name }) => name === run.model)) this.model = run.model;
    this.length = lengthOf(run.settings, workshop.usual[run.method]) ?? this.length;
    this.keeps = Boolean(run.settings.hold);
  }

  draft(workshop: Workshop): Draft {
    const { source, method, model, name } = this;
    const data = source === "files" ? { files: this.chosen.map(({ file }) => file.id) } : { chats: this.licences };
    const questions = ([1, 2, 3] as const).map((n) => t(`samples.question.${n}`));
    const settings = { ...settingsOf(this.length, workshop.usual[method]), ...(this.keeps && { hold: HELD }) };
    return { model, method, name, ...data, questions, settings };
  }
}
