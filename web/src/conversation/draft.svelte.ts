/** What is being typed. It outlives a reload: in this browser at once, in the chat itself when the typing pauses. */
import { attach } from "../api/attachments.ts";
import type { Attachment } from "../api/types.ts";
import { attempt } from "../state/notices.svelte.ts";

interface Kept {
  text: string;
  attachments: Attachment[];
}

const PAUSE = 800; // milliseconds

export class Draft {
  text = $state("");
  attachments = $state.raw<Attachment[]>([]);
  uploading = $state(0);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly key: string;

  constructor(
    name: string,
    saved = "",
    private readonly save?: (text: string) => void,
  ) {
    this.key = `gadfly.draft.${name}`;
    const kept = sessionStorage.getItem(this.key);
    const { text, attachments }: Kept = kept ? JSON.parse(kept) : { text: saved, attachments: [] };
    this.text = text;
    this.attachments = attachments;
  }

  get empty(): boolean {
    return !this.text.trim() && !this.attachments.length;
  }

  /** Keeps what is there now. */
  keep(): void {
    const { text, attachments } = this;
    if (this.empty) sessionStorage.removeItem(this.key);
    else sessionStorage.setItem(this.key, JSON.stringify({ text, attachments } satisfies Kept));
    clearTimeout(this.timer);
    if (this.save) this.timer = setTimeout(() => this.save?.(text), PAUSE);
  }

  async add(files: Iterable<File>): Promise<void> {
    for (const file of files) {
      this.uploading++;
      await attempt(async () => {
        const added = await attach(file);
        this.attachments = [...this.attachments.filter(({ hash }) => hash !== added.hash), added];
      });
      this.uploading--;
    }
    this.keep();
  }

  remove(hash: string): void {
    this.attachments = this.attachments.filter((attachment) => attachment.hash !== hash);
    this.keep();
  }

  /** What has been sent must not come back with a reload, however soon. */
  clear(): void {
    this.text = "";
    this.attachments = [];
    sessionStorage.removeItem(this.key);
    clearTimeout(this.timer);
    this.save?.("");
  }
}
