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
  private readonly events: Listening;

  constructor(readonly id: string) {
    const more = (change: (opened: OpenedRun) => Partial<OpenedRun>) => {
      if (this.opened) this.opened = { ...this.opened, ...change(this.opened) };
    };
    this.events = listen(
      `workshop/runs/${id}/events`,
      {
        snapshot: (opened: OpenedRun) => (this.opened = opened),
        step: ({ run, ...point }: Point & { run: Run }) => more(({ points }) => ({ run, points: [...points, point] })),
        judged: (one: Judged) => more(({ judged }) => ({ judged: [...judged.filter(({ step }) => step !== one.step), one] })),
        note: (note: OpenedRun["notes"][number]) => more(({ notes }) => ({ notes: [...notes, note] })),
        tried: (one: Tried) => more(({ tried }) => ({ tried: [...tried, one] })),
        problem: (one: Trouble) => more(({ problems }) => ({ problems: [...problems, one] })),
        run: ({ run }: { run: Run }) => more(() => ({ run })),
        gone: () => (this.gone = true),
      },
      (yes) => (this.connected = yes),
    );
    void this.look();
  }

  private async look(): Promise<void> {
    try {
      const opened = await openRun(this.id);
      this.opened ??= opened;
    } catch (error) {
      this.missing = error instanceof ApiError && error.status === 404;
      if (this.missing) this.close();
      else notices.fail(error);
    }
  }

  /** An answer to a request may be older than the events that came before it. */
  take(run: Run): void {
    if (this.opened && run.step >= this.opened.run.step) this.opened = { ...this.opened, run };
  }

  close(): void {
    this.events.close();
  }
}
