/** One open chat: its tree, the path that is shown, and the answers that are being written.
 *
 * The server writes answers whether or not we watch. Its events begin with a snapshot; then the chat is read once, and what
 * arrived meanwhile is applied. A delta says where it begins, so that nothing counts twice and a gap is seen.
 */
import * as answers from "../api/answers.ts";
import { changeChat, openChat } from "../api/chats.ts";
import { listen, type Listening } from "../api/events.ts";
import type { Changes, ChatNode, Consent, Feedback, Info, Terms, WaitingCall } from "../api/types.ts";
import { SvelteMap } from "svelte/reactivity";
import { Tree } from "../lib/tree.ts";
import { attempt, notices } from "./notices.svelte.ts";
import { Pen, type Delta, type Written } from "./pen.ts";

export interface Asking {
  node: number;
  call: WaitingCall;
}

/** Two answers side by side. Who wrote them is not told while it is blind and nobody has won. */
export interface Comparison {
  left: number;
  right: number;
  blind: boolean;
  winner: number | null;
}

export class Conversation {
  info = $state.raw<Info | null>(null);
  nodes = new SvelteMap<number, ChatNode>();
  tree = $state.raw(new Tree([]));
  connected = $state(true);
  /** Calls of tools that wait for the reader's consent. */
  asking = $state.raw<Asking[]>([]);
  missing = $state(false);
  comparison = $state.raw<Comparison | null>(null);

  path = $derived(this.tree.path(this.info?.leaf ?? null));
  /** Answers that are being written. */
  writing = $state.raw<number[]>([]);

  /** The first message that the last answer was still written from; those above it no longer fitted. */
  dropped = $derived.by(() => {
    const answer = this.path.findLast((id) => this.tree.get(id)!.dropped !== null);
    const count = answer === undefined ? 0 : this.tree.get(answer)!.dropped!;
    return count ? (this.path[count] ?? null) : null;
  });

  private readonly pen = new Pen((id, more) => this.write(id, more));
  private readonly comparisonKey: string;
  private readonly events: Listening;
  private waiting: (() => void)[] | null = [];

  constructor(readonly id: string) {
    this.comparisonKey = `gadfly.comparison.${id}`;
    const inTurn =
      <T>(handle: (data: T) => void) =>
      (data: T) =>
        this.waiting ? void this.waiting.push(() => handle(data)) : handle(data);
    this.events = listen(
      `chats/${id}/events`,
      {
        snapshot: ({ nodes, consents = [] }: { nodes: ChatNode[]; consents?: Asking[] }) => void this.catchUp(nodes, consents),
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

  /** What came of a call that the answer `node` made, on the path that is shown. */
  result(node: number, call: string): ChatNode | null {
    const after = this.path.slice(this.path.indexOf(node) + 1);
    const id = after.find((id) => this.node(id).tool_call_id === call);
    return id === undefined ? null : this.node(id);
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

  /** Answers anew what `node` answers, calls of tools before it included. */
  async again(node: number): Promise<boolean> {
    const question = this.question(node);
    return question !== null && this.answer(question);
  }

  /** The message of the reader's that `node` answers. */
  question(node: number): number | null {
    let id = this.tree.parent(node);
    while (id !== null && this.tree.get(id)!.role !== "user") id = this.tree.parent(id);
    return id;
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

  /** Has a question answered twice, side by side. A new one is said after `parent` first. */
  async compare(question: number | string, variants: [Terms, Terms], blind: boolean): Promise<boolean> {
    return attempt(async () => {
      let parent = question;
      if (typeof parent === "string") {
        const said = await answers.say(this.id, { parent: this.info!.leaf, text: parent, attachments: [] }, null);
        this.take(said.nodes);
        parent = said.nodes[0]!.id;
      }
      const { nodes } = await answers.answer(this.id, parent, variants);
      this.take(nodes.map((node) => this.fresher(node)));
      const [left, right] = blind && Math.random() < 0.5 ? nodes.toReversed() : nodes;
      this.show({ left: left!.id, right: right!.id, blind, winner: null });
    });
  }

  /** This tab remembers it, or a reload would leave two answers of which one is out of sight. */
  show(comparison: Comparison | null): void {
    this.comparison = comparison;
    if (comparison) {
      sessionStorage.setItem(this.comparisonKey, JSON.stringify(comparison));
      this.info = { ...this.info!, leaf: comparison.left };
    } else sessionStorage.removeItem(this.comparisonKey);
  }

  private recall(): void {
    const kept = sessionStorage.getItem(this.comparisonKey);
    if (this.comparison || !kept) return;
    const comparison = JSON.parse(kept) as Comparison;
    const { left, right } = comparison;
    const both = this.tree.get(left) && this.tree.get(right) && this.tree.parent(left) === this.tree.parent(right);
    this.show(both ? comparison : null); // the chat may be another one by now: a database put back, for one
  }

  async vote(winner: number, loser: number): Promise<void> {
    const comparison = this.comparison!;
    if (await attempt(() => answers.vote(this.id, winner, loser, comparison.blind))) {
      this.show({ ...comparison, winner });
      await this.choose(winner);
    }
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

  private async catchUp(written: ChatNode[], consents: Asking[]): Promise<void> {
    this.waiting = [];
    this.asking = consents;
    try {
      const { chat, nodes } = await openChat(this.id);
      this.pen.drop();
      this.info = chat;
      const texts = new Map(written.map((node) => [node.id, node]));
      this.take(nodes.map((node) => (node.state === "writing" ? longer(node, texts.get(node.id)) : node)));
      this.recall();
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
    const grown = nodes.some(({ id, pruned, dropped }) => {
      const known = this.tree.get(id);
      return known?.pruned !== pruned || known.dropped !== dropped;
    });
    for (const node of nodes) this.nodes.set(node.id, node);
    if (grown) this.tree = new Tree(this.nodes.values());
    const ids = new Set(nodes.map(({ id }) => id));
    const begun = nodes.filter(({ state }) => state === "writing").map(({ id }) => id);
    this.writing = [...this.writing.filter((id) => !ids.has(id)), ...begun];
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
