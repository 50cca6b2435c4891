/** The mock's workshop: files that are checked by what is in their lines, and runs whose curves fall as curves do. */
import type { Adapter } from "../../src/api/types.ts";
import type { Check, DataFile, Draft, Judged, Material, OpenedRun, Plan, Point, Run, Workshop as State } from "../../src/api/workshop-types.ts";

type Send = (event: string, data: unknown) => void;

const STEPS = 40;
const JUDGED = 8; // steps between looks at what it has not seen
const usual = { epochs: 3, batch: 16, learning_rate: 1e-3, rank: 16, top_layers: null, longest: 1024, hold: 0, beta: 0.1, seed: 0 };
const models = [
  { name: "smollm2", bytes: 2.7e8, default: true },
  { name: "tiny", bytes: 1e6, default: false },
];

export class Workshop {
  available = true;
  material: Material = { lessons: 34, pairs: 12, thumbs: 0, left_out: { conditions: 5 } };
  readonly adapters: Adapter[] = [];
  readonly opened = new Map<string, OpenedRun>();
  readonly files = new Map<string, { file: DataFile; check: Check }>();
  private lastFile = 0;
  /** A run waits here until it is told to go on. */
  pauseAt = Infinity;
  pace = 15; // milliseconds between steps
  private readonly listeners = new Map<string, Set<Send>>();

  /** `tell` reaches all pages. */
  constructor(private readonly tell: (event: string, data: unknown) => void) {}

  listen(id: string, send: Send): () => void {
    const all = this.listeners.get(id) ?? new Set();
    this.listeners.set(id, all.add(send));
    if (this.opened.has(id)) send("snapshot", this.opened.get(id));
    return () => all.delete(send);
  }

  answer(method: string, [what, id, verb]: string[], body: any, query: URLSearchParams): unknown {
    if (!what) return this.state();
    if (what === "material") return this.material;
    if (what === "files") return this.answerFiles(method, id, body, query);
    if (what !== "runs") return null;
    if (!id) return method === "POST" ? { run: this.plan(body) } : { runs: [...this.opened.values()].map(({ run }) => run).reverse() };
    const opened = this.opened.get(id);
    if (!opened) return null;
    if (method === "DELETE") return this.remove(id, query.has("adapter"));
    if (verb === "stop") return { run: this.change(id, { status: "stopped" }) };
    if (verb === "start" || verb === "resume") return { run: this.go(id) };
    return opened;
  }

  /** One that has been: for what a test begins with. */
  add(fields: Partial<Run>, judged: Judged[] = [], points: Point[] = []): Run {
    const id = `ftjob-${this.opened.size + 1}`;
    const now = Date.now() / 1000;
    const run: Run = {
      ...{ id, name: "grumbler", model: "smollm2", method: "sft", origin: "app", status: "planning", created: now, started: null, finished: null },
      ...{ ahead: 0, data: { chats: "free", files: [], given: [], valid: 0.1 }, settings: {}, plan: null, samples: 31, step: 0, steps: null, loss: null },
      ...{ valid_loss: null, tokens_per_second: null, seconds_left: null, error: null, adapter: null },
      ...fields,
    };
    this.opened.set(id, { run, points, judged, notes: [], tried: [], problems: [] });
    return run;
  }

  private state(): State {
    const adapters = this.adapters.map(({ name, base, bytes }) => ({ name, base, method: "sft", bytes, run: null }));
    const why = this.available ? null : "fine-tuning needs PyTorch, which is not installed: pip install 'gadfly[train]'";
    const limits = { upload: 1e8, files: 100, runs: 100 };
    return { available: this.available, why, models, adapters, usual: { sft: usual, text: usual, dpo: usual, kto: usual }, limits, room: 5e10 };
  }

  private answerFiles(method: string, id: string | undefined, body: Buffer, query: URLSearchParams): unknown {
    if (!id && method === "GET") return { files: [...this.files.values()].map(({ file }) => file) };
    if (method === "DELETE") return (this.files.delete(id!), {});
    if (id) return this.files.get(id)?.check ?? null;
    const file = { id: `file-${++this.lastFile}`, name: query.get("name")!, bytes: body.length, created: Date.now() / 1000 };
    this.files.set(file.id, { file, check: check(body.toString()) });
    return { file, import: null };
  }

  private plan(draft: Draft): Run {
    const { model, method, name, files = [], chats = null, settings = {} } = draft;
    const run = this.add({ model, method, name: name!, settings, data: { chats, files: files.map((id) => this.files.get(id)!.file.name), given: files, valid: 0.1 } });
    setTimeout(() => this.change(run.id, { status: "planned", plan, steps: STEPS, samples: plan.samples }), 20 * this.pace);
    return run;
  }

  go(id: string): Run {
    const run = this.change(id, { status: "running", started: this.opened.get(id)!.run.started ?? Date.now() / 1000 });
    if (run.step === 0) this.judge(id);
    setTimeout(() => this.advance(id), this.pace);
    return run;
  }

  private advance(id: string): void {
    const opened = this.opened.get(id);
    if (opened?.run.status !== "running") return;
    setTimeout(() => this.advance(id), this.pace);
    if (opened.run.step >= this.pauseAt) return;
    const step = opened.run.step + 1;
    const loss = 1.2 + 2 * Math.exp(-step / 12) + 0.15 * Math.sin(step * 7.3);
    const point = { step, loss };
    opened.run = { ...opened.run, step, loss, tokens_per_second: 312, seconds_left: (STEPS - step) * 3 };
    opened.points.push(point);
    this.send(id, "step", { ...point, run: opened.run });
    if (step % JUDGED === 0) this.judge(id);
    if (step < STEPS) return;
    this.adapters.push({ name: opened.run.name, own: true, bytes: 9.2e6, created: Date.now() / 1000, base: opened.run.model, samples: opened.run.samples });
    this.change(id, { status: "succeeded", finished: Date.now() / 1000 + 110, adapter: opened.run.name, seconds_left: null });
    this.tell("models", {});
  }

  private judge(id: string): void {
    const opened = this.opened.get(id)!;
    const { step } = opened.run;
    const one = { step, loss: 1.5 + 1.9 * Math.exp(-step / 9) + (step > 24 ? (step - 24) * 0.012 : 0), figures: {} };
    const tried = { step, prompt: "What is the point of a committee?", text: ["A committee is a group of people.", "To share work.", "To share blame.", "So that nobody did it.", "To keep minutes and lose hours.", "To keep minutes and lose hours!"][step / JUDGED]! };
    opened.judged.push(one);
    opened.tried.push(tried);
    opened.run = { ...opened.run, valid_loss: one.loss };
    this.send(id, "judged", one);
    this.send(id, "tried", tried);
  }

  change(id: string, changes: Partial<Run>): Run {
    const opened = this.opened.get(id)!;
    opened.run = { ...opened.run, ...changes };
    this.send(id, "run", { run: opened.run });
    this.tell("run", { run: opened.run });
    return opened.run;
  }

  private remove(id: string, adapter: boolean): unknown {
    const name = this.opened.get(id)!.run.adapter;
    if (adapter) this.adapters.splice(this.adapters.findIndex((one) => one.name === name), 1);
    this.opened.delete(id);
    this.send(id, "gone", {});
    this.tell("run", { id });
    return {};
  }

  private send(id: string, event: string, data: unknown): void {
    for (const send of this.listeners.get(id) ?? []) send(event, data);
  }
}

const plan: Plan = {
  ...{ samples: 31, valid: 3, tokens: 12_400, learnt: 8_100, cut: 2, duplicates: 1, parameters: 2_400_000, steps: STEPS },
  ...{ seconds: 740, memory: 1.9e9, disk: 2.1e8, disk_afterwards: 3.9e7 },
};

/** A line that is no JSON is damaged; what says the same as one before is a duplicate. */
function check(text: string): Check {
  const lines = text.split("\n").map((line, i) => ({ line: i + 1, said: line.trim() })).filter(({ said }) => said);
  const damaged = lines.filter(({ said }) => !said.endsWith("}")).map(({ line }) => ({ line, kind: "damaged" as const, text: "this is no JSON object" }));
  const again = lines
    .filter(({ said }, i) => lines.findIndex((other) => other.said === said) < i)
    .map(({ line, said }) => ({ line, kind: "duplicate" as const, text: `says the same as line ${lines.find((other) => other.said === said)!.line}` }));
  const lessons = lines.length - damaged.length;
  return {
    wrong: damaged.length > 0,
    counts: { lines: lines.length, lessons, preferences: 0, thumbs: 0, texts: 0 },
    found: { damaged: damaged.length, duplicate: again.length },
    findings: [...damaged, ...again],
  };
}
