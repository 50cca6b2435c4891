/** The list of chats at the side, kept up to date by the server's events. */
import { listChats } from "../api/chats.ts";
import { listen, type Listening } from "../api/events.ts";
import type { Info } from "../api/types.ts";
import { library } from "./library.svelte.ts";
import { notices } from "./notices.svelte.ts";
import { runs } from "./workshop.svelte.ts";

class Chats {
  list = $state.raw<Info[]>([]);
  next = $state.raw<string | null>(null);
  folders = $state.raw<string[]>([]);
  tags = $state.raw<string[]>([]);
  /** Counts what the server told of changes, for other lists to follow. */
  news = $state(0);
  connected = $state(true);

  async refresh(): Promise<void> {
    const { chats, next, folders, tags } = await listChats({ state: "active", limit: Math.max(50, this.list.length) });
    Object.assign(this, { list: chats, next, folders, tags });
    this.news++;
  }

  async more(): Promise<void> {
    if (!this.next) return;
    const { chats, next } = await listChats({ state: "active", limit: 50, cursor: this.next });
    this.list = [...this.list, ...chats];
    this.next = next;
  }

  watch(): Listening {
    const again = () => void this.refresh().catch((error) => notices.fail(error));
    const models = () => void library.loadModels().catch((error) => notices.fail(error));
    return listen("events", { chats: again, chat: again, models, pull: (pull) => library.hear(pull), run: (news) => runs.hear(news) }, (yes) => {
      if (yes && !this.connected) again();
      this.connected = yes;
    });
  }
}

export const chats = new Chats();
