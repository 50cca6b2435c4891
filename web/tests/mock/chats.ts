/** What the mock remembers: chats, their trees, and who listens. */
import type { Attachment, ChatList, ChatNode, Info, Rating, Terms } from "../../src/api/types.ts";
import { Tree } from "../../src/lib/tree.ts";
import { Workshop } from "./workshop.ts";

type Send = (event: string, data: unknown) => void;
type Body = any;

const PACE = 4; // milliseconds between words

export class Chats {
  readonly infos = new Map<string, Info>();
  readonly nodes = new Map<string, ChatNode[]>();
  /** What is answered to each question; the last one counts. */
  script: (question: string) => string = (question) => `You said: ${question}`;
  readonly workshop = new Workshop((event, data) => {
    for (const send of this.listeners.get(null) ?? []) send(event, data);
  });
  /** Every request that changed something. */
  readonly asked: { method: string; path: string; body: Body }[] = [];
  private readonly listeners = new Map<string | null, Set<Send>>();
  private lastNode = 0;
  private skipping = 0;

  listen(chat: string | null, send: Send): () => void {
    const all = this.listeners.get(chat) ?? new Set();
    this.listeners.set(chat, all.add(send));
    if (chat !== null) send("snapshot", { nodes: this.nodes.get(chat)?.filter(({ state }) => state === "writing") ?? [] });
    return () => all.delete(send);
  }

  /** Keeps the next pieces of text from those who listen. */
  skip(pieces: number): void {
    this.skipping = pieces;
  }

  create(fields: Partial<Info> = {}): Info {
    const id = `chat${this.infos.size + 1}`;
    const now = Date.now() / 1000;
    const info: Info = {
      ...{ id, title: "", created: now, updated: now, pinned: false, archived: false, deleted: null, folder: "", tags: [] },
      ...{ model: "smollm2", persona: "gadfly", wit: 0.5, system: null, sampling: null, adapters: {}, draft: "", leaf: null, messages: 0, writing: [] },
      ...fields,
    };
    this.infos.set(id, info);
    this.nodes.set(id, []);
    return info;
  }

  add(chat: string, fields: Partial<ChatNode>): ChatNode {
    const node: ChatNode = {
      ...{ id: ++this.lastNode, parent: null, role: "user", content: "", reasoning: "", tool_calls: [], tool_call_id: null },
      ...{ attachments: [], state: "complete", visited: 0, created: Date.now() / 1000, name: null, favourite: false, pruned: false, model: null },
      ...{ digest: null, licence: null, persona: null, wit: null, system: null, adapters: {}, sampling: null, seed: null, build: null, finish: null, usage: null },
      ...{ dropped: null, error: null, feedback: null, has_trace: false },
      ...fields,
    };
    this.nodes.get(chat)!.push(node);
    Object.assign(this.infos.get(chat)!, { leaf: node.id, messages: this.nodes.get(chat)!.length });
    this.tell(chat, "node", { node });
    return node;
  }

  answer(method: string, path: string[], body: Body, query: URLSearchParams): unknown {
    if (method !== "GET") this.asked.push({ method, path: path.join("/"), body });
    const [what, chat, part, node, verb] = path;
    if (what === "session") {
      return { owner: "", needs_key: false, version: "0.1.0", settings: { model: "smollm2", persona: "gadfly", wit: 0.5 }, offline: true };
    }
    if (what === "models") return { models: [model("smollm2", "SmolLM2 360M"), model("tiny", "Tiny")] };
    if (what === "adapters") return this.shelf(method, chat);
    if (what === "workshop") return this.workshop.answer(method, path.slice(1), body, query);
    if (what === "personas") return { personas: ["gadfly", "straight"].map((name) => ({ name, description: name, own: false, voices: [{ wit: 0, greeting: "What do you think you know?" }] })) };
    if (what === "settings") return { settings: [] };
    if (what === "attachments") return { hash: `h${body.length}`, name: query.get("name")!, type: "text/plain", bytes: body.length, characters: body.length } satisfies Attachment;
    if (what === "feedback") return this.opinions(chat);
    if (what !== "chats") return null;
    if (!chat) return method === "POST" ? { chat: this.create(body) } : this.list(query);
    const info = this.infos.get(chat);
    if (!info) return null;
    if (!part) {
      if (method === "PATCH") this.change(info, body);
      if (method === "DELETE") this.remove(info, query.has("forever"));
      return { chat: info, ...(method === "GET" && { nodes: this.nodes.get(chat) }) };
    }
    if (part === "restore") return { chat: this.change(info, { deleted: null }) };
    if (part === "messages") return { nodes: this.say(chat, body) };
    if (part === "answers" && !node) return { nodes: body.variants.map((terms: Terms) => this.write(chat, body.parent, terms, body.prefix)) };
    if (part === "votes") return {};
    if (part === "title") return { title: this.change(info, { title: "A title" }).title, by: "model" };
    if (part === "suggestions") return { suggestions: ["Why?", "How do you know?", "What if not?"] };
    if (part === "measure") return { tokens: body.text.length, context: 8192, room: 6144, fits: true, dropped: body.text.length > 100 ? 2 : 0 };
    if (part === "fork") return { chat: this.create({ title: "Fork" }) };
    const found = this.nodes.get(chat)!.find(({ id }) => id === Number(node));
    if (!found) return null;
    if (part === "answers" && verb === "stop") return this.finish(chat, found, "stopped");
    if (part === "answers" && verb === "consent") return {};
    if (part === "answers" && verb === "continue") return { nodes: [found] };
    if (part === "nodes" && verb === "inside") return inside(found);
    if (part === "nodes" && verb === "feedback") return { feedback: Object.assign(found, { feedback: body }).feedback };
    if (part === "nodes") return { node: Object.assign(found, body) };
    return null;
  }

  /** Thumbs alone; pairs are made of what the mock does not keep. */
  private opinions(part?: string): unknown {
    if (part === undefined) return { pairs: [], next: null };
    if (part !== "thumbs") return null;
    const thumbs = [...this.nodes].flatMap(([chat, nodes]) =>
      nodes.flatMap(({ id, parent, content, role, created, feedback }): Rating[] => {
        if (!feedback?.thumb) return [];
        const asked = nodes.find((one) => one.id === parent)!;
        const licence = { model: "smollm2", licence: "Apache-2.0", training: "free" as const, why: "" };
        const rated = { chat, node: id, prompt: [{ role: "user", content: asked.content }], reply: { role, content }, created };
        return [{ ...rated, label: feedback.thumb > 0, reasons: feedback.reasons, training: "free", licence }];
      }),
    );
    return { thumbs, next: null };
  }

  private shelf(method: string, name?: string): unknown {
    const { adapters } = this.workshop;
    if (method === "DELETE") adapters.splice(adapters.findIndex((one) => one.name === name), 1);
    return { adapters };
  }

  /** With a query, those whose title or messages have it; else those of a place, folder and tag, pinned ones first. */
  private list(query: URLSearchParams): ChatList {
    const [wanted, place, folder, tag] = ["query", "state", "folder", "tag"].map((name) => query.get(name) ?? "") as [string, string, string, string];
    const all = [...this.infos.values()].reverse();
    const tells = (info: Info) => (!folder || info.folder === folder) && (!tag || info.tags.includes(tag));
    const placed = ({ archived, deleted }: Info) => (deleted ? "deleted" : archived ? "archived" : "active");
    const found = wanted
      ? all.filter((info) => (place ? placed(info) === place : !info.deleted) && tells(info)).flatMap((info) => this.found(info, wanted) ?? [])
      : all.filter((info) => placed(info) === (place || "active") && tells(info));
    const folders = [...new Set(all.map((info) => info.folder))].filter(Boolean);
    return { chats: found.sort((a, b) => Number(b.pinned) - Number(a.pinned)), next: null, folders, tags: [...new Set(all.flatMap(({ tags }) => tags))] };
  }

  private found(info: Info, wanted: string): Info | null {
    const node = this.nodes.get(info.id)!.find(({ content }) => content.includes(wanted));
    const last = this.nodes.get(info.id)!.at(-1)?.content;
    if (!node) return info.title.includes(wanted) ? { ...info, node: null, snippet: last ? [[last, false]] : [] } : null;
    const [before, after] = node.content.split(wanted);
    return { ...info, node: node.id, snippet: [[before!, false], [wanted, true], [after!, false]] };
  }

  private remove(info: Info, forever: boolean): void {
    if (forever) this.infos.delete(info.id);
    this.change(info, { deleted: Date.now() / 1000 });
  }

  private change(info: Info, { leaf, ...changes }: Partial<Info>): Info {
    Object.assign(info, changes);
    if (leaf) info.leaf = new Tree(this.nodes.get(info.id)!).newest(leaf);
    this.tell(info.id, "chat", { chat: info });
    return info;
  }

  private say(chat: string, body: Body): ChatNode[] {
    const role = body.role ?? "user";
    const said = this.add(chat, { parent: body.parent, role, content: body.text });
    return body.answer ? [said, this.write(chat, said.id, body.answer)] : [said];
  }

  private write(chat: string, parent: number, terms: Terms, prefix = ""): ChatNode {
    const { model, persona, wit } = { ...this.infos.get(chat)!, ...terms };
    const question = this.nodes.get(chat)!.find(({ id }) => id === parent)!;
    const written = this.add(chat, { parent, role: "assistant", state: "writing", content: prefix, model, persona, wit });
    const words = this.script(question.content).match(/\S+\s*|\s+/g) ?? [];
    const next = () => {
      const node = this.nodes.get(chat)!.find(({ id }) => id === written.id)!;
      if (node.state !== "writing") return;
      const text = words.shift();
      if (text === undefined) return void this.finish(chat, node, "complete");
      const at = node.content.length;
      node.content += text;
      this.tell(chat, "delta", { node: node.id, at, text });
      setTimeout(next, PACE);
    };
    setTimeout(next, PACE);
    return { ...written };
  }

  private finish(chat: string, node: ChatNode, state: ChatNode["state"]): unknown {
    Object.assign(node, { state, has_trace: true, finish: "stop", usage: { prompt_tokens: 20, completion_tokens: 9, cached_tokens: 12, prefill_seconds: 0.1, decode_seconds: 0.3 } });
    this.tell(chat, "finished", { node });
    return {};
  }

  /** Sends an event to all who listen to a chat, and tells those who listen to all. */
  tell(chat: string, event: string, data: unknown): void {
    if (event === "delta" && this.skipping-- > 0) return;
    for (const send of this.listeners.get(chat) ?? []) send(event, data);
    for (const send of this.listeners.get(null) ?? []) if (event !== "delta") send("chat", { id: chat });
  }
}

function model(name: string, title: string) {
  return { name, title, family: "llama", licence: "Apache-2.0", bytes: 2.7e8, here: true, loaded: true, loading: null, fit: null, context: 8192, default: false };
}

function inside(node: ChatNode) {
  const words = node.content.match(/\s*\S+/g) ?? [];
  const tokens = words.map((text, i) => ({
    ...{ text, logprob: -0.1 - (i % 5) },
    top: [{ text, logprob: -0.1 - (i % 5) }, { text: " other", logprob: -1.5 }, { text: " third", logprob: -3 }],
  }));
  const prompt = [{ text: "<|im_start|>", special: true }, { text: "user\nHello", special: false }];
  return { start: 0, tokens, prompt, experts: null };
}
