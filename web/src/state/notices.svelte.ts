/** Short sentences at the edge of the page: what went wrong, and what can still be undone. */
import { ApiError } from "../api/http.ts";
import { t } from "../lib/i18n.svelte.ts";

export interface Notice {
  id: number;
  text: string;
  bad: boolean;
  action?: { label: string; run: () => void };
}

const STAY = { said: 8000, undone: 20_000 }; // milliseconds, of what is only said and of what can be undone

class Notices {
  list = $state.raw<Notice[]>([]);
  private last = 0;
  private readonly going = new Map<number, ReturnType<typeof setTimeout>>();

  say(text: string, action?: Notice["action"]): void {
    this.add({ id: ++this.last, text, bad: false, ...(action && { action }) });
  }

  fail(error: unknown): void {
    const lost = error instanceof ApiError && error.kind === "offline";
    this.add({ id: ++this.last, text: lost ? t("error.offline") : error instanceof Error ? error.message : String(error), bad: true });
  }

  /** It stays as long as somebody points at it, or has the focus in it. */
  hold(id: number): void {
    clearTimeout(this.going.get(id));
  }

  /** It goes after a while. */
  release({ id, action }: Notice): void {
    this.hold(id);
    this.going.set(id, setTimeout(() => this.drop(id), action ? STAY.undone : STAY.said));
  }

  drop(id: number): void {
    this.hold(id);
    this.going.delete(id);
    this.list = this.list.filter((notice) => notice.id !== id);
  }

  private add(notice: Notice): void {
    this.list = [...this.list.filter((other) => other.text !== notice.text), notice];
    this.release(notice);
  }
}

export const notices = new Notices();

/** Runs what a button asks for; a failure becomes a notice. Answers whether it went well. */
export async function attempt(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    notices.fail(error);
    return false;
  }
}
