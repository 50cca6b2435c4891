/** The runs of the workshop, and one of them as it goes on. The server goes on whether or not anybody watches. */
import { ApiError } from "../api/http.ts";
import { listen, type Listening } from "../api/events.ts";
import type { Judged, OpenedRun, Point, Run, Tried, Trouble } from "../api/workshop-types.ts";
import { listRuns, openRun } from "../api/workshop.ts";
import { notices } from "./notices.svelte.ts";

class Runs {
  list = $state.raw<Run[] | null>(null);

  async load(): Promise<void> {
    this.list = await listRuns();
  }

  hear({ id, run }: { id?: string; run?: Run }): void {
    if (!this.list) return;
    const known = this.list.some((one) => one.id === run?.id);
    if (!run) this.list = this.list.filter((one) => one.id !== id);
    else this.list = known ? this.list.map((one) => (one.id === run.id ? run : one)) : [run, ...this.list];
  }
}

export const runs = new Runs();

export class OneRun {
  opened = $state.raw<OpenedRun | null>(null);
  connected = $state(true);
  gone = $state(false);
  missing = $state(false);
  private events: Listening | null = null;
  private closed = false;

  constructor(readonly id: string) {
    void this.begin();
  }

  close(): void {
    this.closed = true;
    this.events?.close();
  }

  /** Has something done with it. What was heard meanwhile is newer than the answer. */
  async ask(work: (id: string) => Promise<Run>): Promise<void> {
    const before = this.opened;
    const run = await work(this.id);
    if (before && this.opened === before) this.opened = { ...before, run };
  }

  /** Looks whether it is there, before it listens: to what is not there, one would listen for ever. */
  private async begin(): Promise<void> {
    try {
      this.opened = await openRun(this.id);
    } catch (error) {
      this.missing = error instanceof ApiError && error.status === 404;
      if (this.missing) return;
      notices.fail(error);
    }
    if (!this.closed) this.events = this.listen();
  }

  private listen(): Listening {
    const more = (change: (opened: OpenedRun) => Partial<OpenedRun>) => {
      if (this.opened) this.opened = { ...this.opened, ...change(this.opened) };
    };
    return listen(
      `workshop/runs/${this.id}/events`,
      {
        snapshot: (opened: OpenedRun) => (this.opened = opened),
        step: ({ run, ...point }: Point & { run: Run }) => more(({ points }) => ({ run, points: [...points, point] })),
        judged: (one: Judged) => more(({ judged }) => ({ judged: [...judged.filter(({ step }) => step !== one.step), one] })),
        note: (note: OpenedRun["notes"][number]) => more(({ notes }) => ({ notes: [...notes, note] })),
        tried: (one: Tried) => more(({ tried }) => ({ tried: [...tried.filter(({ step, prompt }) => step !== one.step || prompt !== one.prompt), one] })),
        problem: (one: Trouble) => more(({ problems }) => ({ problems: [...problems, one] })),
        run: ({ run }: { run: Run }) => more(() => ({ run })),
        gone: () => (this.gone = true),
      },
      (yes) => (this.connected = yes),
    );
  }
}
