import { enter, readSession } from "../api/session.ts";
import type { Session } from "../api/types.ts";

/** Who we are to the server, and what it does when nobody says otherwise. */
class SessionState {
  value = $state.raw<Session | null>(null);
  error = $state.raw<unknown>(null);

  get locked(): boolean {
    return this.value?.needs_key ?? false;
  }

  async load(): Promise<void> {
    try {
      this.value = await readSession();
      this.error = null;
    } catch (error) {
      this.error = error;
    }
  }

  async enter(key: string): Promise<void> {
    this.value = await enter(key);
  }
}

export const session = new SessionState();
