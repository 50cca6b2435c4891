/** One open chat: its tree, the path that is shown, and the answers that are being written.
 *
 * The server writes answers whether or not we watch. Its events begin with a snapshot; then the chat is read once, and what
 * arrived meanwhile is applied. A delta says where it begins, so that nothing counts twice and a gap is seen.
 */
import * as answers from "../api/answers.ts";
import { changeChat, openChat } from "../api/chats.ts";
import { listen, type Listening } from "../api/events.ts";
import type { Changes, ChatNode, Consent, Feedback, Info, Terms, ToolCall } from "../api/types.ts";
import { SvelteMap } from "svelte/reactivity";
import { Tree } from "../lib/tree.ts";
import { attempt, notices } from "./notices.svelte.ts";
import { Pen, type Delta, type Written } from "./pen.ts";

export interface Asking {
  node: number;
  call: ToolCall;
}

export class Conversation {
  info = $state.raw<Info | null>(null);
  nodes = new SvelteMap<number, ChatNode>();
  tree = $state.raw(new Tree([]));
  connected = $state(true);
  /** Calls of tools that wait for the reader's consent. */
  asking = $state.raw<Asking[]>([]);
  missing = $state(false);

  path = $derived(this.tree.path(this.info?.leaf ?? null));
  writing = $derived([...this.nodes.values()].filter((node) => node.state === "writing").map((node) => node.id));

  private readonly pen = new Pen((id, more) => this.write(id, more));
  private readonly events: Listening;
  private waiting: (() => void)[] | null = [];

  constructor(readonly id: string) {
    const inTurn =
      <T>(handle: (data: T) => void) =>
      (data: T) =>
        this.waiting ? void this.waiting.push(() => handle(data)) : handle(data);
    this.events = listen(
      `chats/${id}/events`,
      {
        snapshot: ({ nodes }: { nodes: ChatNode[] }) => void this.catchUp(nodes),
        node: inTurn(({ node }: { node: ChatNode }) => this.take([node])),
        delta: inTurn((delta: Delta) => this.delta(delta)),
        consent: inTurn((asking: Asking) => (this.asking = [...this.asking.filter(({ call }) => call.id !== asking.call.id), asking])),
        finished: inTurn(({ node }: { node: ChatNode }) => this.finish(node)),
        chat: inTurn(({ chat }: { chat: Info }) => (this.info = chat)),
      },
      (yes) => (this.connected = yes),
    );
  }

  close(): void {
    this.events.close();
    this.pen.drop();
  }

  node(id: number): ChatNode {
    return this.nodes.get(id)!;
  }

  siblings(id: number): number[] {
    return this.tree.siblings(id);
  }

  /** Says `text` after `parent` and has it answered. Editing is saying something else after the same parent. */
  async say(parent: number | null, text: string, attachments: string[], terms: Terms = {}): Promise<boolean> {
    return this.grow(answers.say(this.id, { parent, text, attachments }, terms));
  }

  /** Puts an answer of the reader's own beside the model's. */
  async rewrite(node: number, text: string): Promise<boolean> {
    return this.grow(answers.rewrite(this.id, this.tree.parent(node), text));
  }

  /** Has the message answered, once for each of `variants`; each answer begins with `prefix`. */
  async answer(parent: number, variants: Terms[] = [{}], prefix?: string): Promise<boolean> {
    return this.grow(answers.answer(this.id, parent, variants, prefix));
  }

  async continue(node: number): Promise<boolean> {
    return this.grow(answers.continueAnswer(this.id, node));
  }

  async stop(): Promise<void> {
    await attempt(() => Promise.all(this.writing.map((node) => answers.stopAnswer(this.id, node))));
  }

  async allow(asking: Asking, allow: Consent): Promise<void> {
    if (await attempt(() => answers.consent(this.id, asking.node, asking.call.id, allow))) {
      this.asking = this.asking.filter((other) => other !== asking);
    }
  }

  /** Shows the branch that `node` is on. */
  async choose(node: number): Promise<void> {
    await this.change({ leaf: node });
  }

  async change(changes: Changes): Promise<boolean> {
    return attempt(async () => (this.info = await changeChat(this.id, changes)));
  }

  async mark(node: number, marks: answers.Marks): Promise<void> {
    await attempt(async () => this.take([await answers.markNode(this.id, node, marks)]));
  }

  async judge(id: number, feedback: Feedback): Promise<boolean> {
    return attempt(async () => {
      await answers.giveFeedback(this.id, id, feedback);
      this.nodes.set(id, { ...this.node(id), feedback });
    });
  }

  private async grow(work: Promise<{ nodes: ChatNode[] }>): Promise<boolean> {
    return attempt(async () => {
      const { nodes } = await work;
      this.take(nodes.map((node) => this.fresher(node)));
      const last = nodes.at(-1);
      if (last && this.info) this.info = { ...this.info, leaf: last.id };
    });
  }

  private async catchUp(written: ChatNode[]): Promise<void> {
    this.waiting = [];
    try {
      const { chat, nodes } = await openChat(this.id);
      this.pen.drop();
      this.info = chat;
      const texts = new Map(written.map((node) => [node.id, node]));
      this.take(nodes.map((node) => (node.state === "writing" ? longer(node, texts.get(node.id)) : node)));
      this.missing = false;
    } catch (error) {
      this.missing = true;
      notices.fail(error);
    }
    const late = this.waiting;
    this.waiting = null;
    for (const handle of late) handle();
  }

  /** An answer to a request may be older than the events that came before it. */
  private fresher(node: ChatNode): ChatNode {
    const known = this.nodes.get(node.id);
    return known && (known.state !== "writing" || known.content.length > node.content.length) ? known : node;
  }

  private take(nodes: ChatNode[]): void {
    const grown = nodes.some((node) => !this.tree.has(node.id) || this.node(node.id).pruned !== node.pruned);
    for (const node of nodes) this.nodes.set(node.id, node);
    if (grown) this.tree = new Tree(this.nodes.values());
  }

  private delta(delta: Delta): void {
    const node = this.nodes.get(delta.node);
    if (!node || !this.pen.take(delta, node)) this.events.restart();
  }

  private write(id: number, more: Written): void {
    const node = this.nodes.get(id);
    if (node?.state !== "writing") return;
    this.nodes.set(id, { ...node, content: node.content + more.content, reasoning: node.reasoning + more.reasoning });
  }

  private finish(node: ChatNode): void {
    this.pen.forget(node.id);
    this.asking = this.asking.filter((asking) => asking.node !== node.id);
    this.take([node]);
  }
}

function longer(node: ChatNode, other: ChatNode | undefined): ChatNode {
  return other && other.content.length > node.content.length ? other : node;
}
