/** What the server sends and takes under /app/api. Times are seconds since 1970, sizes bytes. */

export interface Sampling {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  [name: string]: number | undefined;
}

/** How an answer is to be made; what is absent is as in the chat. */
export interface Terms {
  model?: string;
  persona?: string;
  wit?: number;
  system?: string;
  sampling?: Sampling;
  seed?: number;
  max_tokens?: number;
  tools?: boolean;
  adapters?: Record<string, number>;
}

export interface Session {
  owner: string;
  needs_key: boolean;
  version: string;
  settings: { model: string | null; persona: string; wit: number };
  offline: boolean;
}

/** A chat without its messages. */
export interface Info {
  id: string;
  title: string;
  created: number;
  updated: number;
  pinned: boolean;
  archived: boolean;
  deleted: number | null;
  folder: string;
  tags: string[];
  /** Null: as the settings have it. */
  model: string | null;
  persona: string | null;
  wit: number | null;
  system: string | null;
  sampling: Sampling | null;
  /** How strong those are in the next answer that shall not be as the model has them. */
  adapters: Record<string, number>;
  draft: string;
  leaf: number | null;
  messages: number;
  /** Answers that are being written. */
  writing: number[];
  /** In the results of a search: text, and whether it is what was searched for; and the message that it is from. */
  snippet?: [string, boolean][];
  node?: number | null;
}

export type Changes = Partial<
  Pick<
    Info,
    "title" | "pinned" | "archived" | "folder" | "tags" | "model" | "persona" | "wit" | "system" | "sampling" | "adapters" | "draft" | "leaf"
  >
>;

export interface ChatList {
  chats: Info[];
  next: string | null;
  folders: string[];
  tags: string[];
}

export interface Attachment {
  hash: string;
  name: string;
  type: string;
  bytes: number;
  characters?: number;
  tokens?: number;
}

export interface ToolCall {
  id: string;
  name: string;
  arguments: unknown;
}

/** A call that waits for the reader's consent. */
export interface WaitingCall {
  id: string;
  server: string;
  tool: string;
  title: string;
  arguments: unknown;
  description: string;
}

export type Thumb = -1 | 0 | 1;

export interface Feedback {
  thumb: Thumb;
  reasons: string[];
  corrected: string | null;
}

/** Cached tokens of the prompt did not have to be computed again. */
export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  cached_tokens: number;
  prefill_seconds: number;
  decode_seconds: number;
}

export type State = "complete" | "writing" | "stopped" | "failed" | "interrupted";

/** One message in the tree of a chat; siblings have the same parent. */
export interface ChatNode {
  id: number;
  readonly parent: number | null;
  role: "user" | "assistant" | "tool" | "system";
  content: string;
  reasoning: string;
  tool_calls: ToolCall[];
  tool_call_id: string | null;
  attachments: Attachment[];
  state: State;
  visited: number;
  created: number;
  name: string | null;
  favourite: boolean;
  pruned: boolean;
  model: string | null;
  digest: string | null;
  licence: string | null;
  persona: string | null;
  wit: number | null;
  adapters: Record<string, number>;
  sampling: Sampling | null;
  seed: number | null;
  system: string | null;
  build: { version?: string; kernels?: string; context?: number } | null;
  finish: string | null;
  usage: Usage | null;
  dropped: number | null;
  error: string | null;
  feedback: Feedback | null;
  has_trace: boolean;
}

export interface Opened {
  chat: Info;
  nodes: ChatNode[];
}

/** Of the `context`, `room` tokens are for the prompt, which would take `tokens`; null: nobody knows yet.
 *
 * `dropped` messages would fall off; without `fits` not even the last one has room.
 */
export interface Measure {
  tokens: number | null;
  context: number;
  room: number;
  dropped: number;
  fits: boolean;
}

export interface Alternative {
  text: string;
  logprob: number | null;
}

export interface Token extends Alternative {
  top: Alternative[];
}

export interface Inside {
  /** So many characters of the answer were there before the first token. */
  start: number;
  tokens: Token[];
  prompt: { text: string; special: boolean }[];
  /** For each layer, how many tokens each expert was given. */
  experts: number[][] | null;
}

export type Consent = "once" | "chat" | "no";

/** Whether a model runs here, and why: it `needs` so much memory as `format`, of what this machine `has` and others have `taken`. */
export interface Fit {
  verdict: "comfortable" | "tight" | "no" | "planned";
  answer: "comfortable" | "tight" | "converted" | "file" | "disk" | "full" | "no" | "planned";
  needs: number;
  format: string;
  /** The format that it is published in. */
  published: string;
  has: number;
  /** 0: not worth a word. */
  taken: number;
  /** It would take so much of what is `left` of the disk. */
  files: number;
  left: number;
}

export interface Model {
  name: string;
  /** An English sentence; its name is what stands before the colon. */
  title: string;
  family: string;
  licence: string;
  bytes: number;
  here: boolean;
  loaded: boolean;
  loading: { done: number; text: string } | null;
  /** Null where there is nothing to judge: with an engine elsewhere, or a file of the reader's own. */
  fit: Fit | null;
  context: number;
  default: boolean;
  pull?: Pull | null;
  /** Whether its licence is one of free software. */
  free?: boolean | null;
  languages?: string[];
  parameters?: number;
  /** It runs in an engine that this server passes questions on to. */
  elsewhere?: boolean;
  pullable?: boolean;
  /** It was named when the server was started, and is not unloaded. */
  stays?: boolean;
  /** Those that stand beside it while it is loaded. */
  adapters?: string[];
}

/** Small matrices beside a model that make a character of it. */
export interface Adapter {
  name: string;
  /** The reader's, not one that comes with Gadfly. */
  own: boolean;
  bytes: number;
  created: number;
  /** The model that it was made for. */
  base: string | null;
  method?: string | null;
  samples?: number | null;
  /** Whom it plays, and whether wit says how strongly. */
  persona?: string | null;
  dial?: boolean;
  error?: string;
}

/** A download that is under way, or has failed. */
export interface Pull {
  name: string;
  done: number;
  total: number | null;
  text: string;
  error: string | null;
  finished?: boolean;
}

export interface Persona {
  name: string;
  description: string;
  own: boolean;
  voices: { wit: number; greeting: string }[];
  error?: string;
}

/** How a persona speaks from `wit` upwards. */
export interface Voice {
  wit: number;
  system: string;
  greeting: string;
  /** A question and its answer. */
  examples: [string, string][];
}

export interface WholePersona {
  name: string;
  description: string;
  own: boolean;
  stop: string[];
  sampling: Record<string, number>;
  voices: Voice[];
}

export interface Setting {
  key: string;
  value: string | number | boolean | null;
  default: string | number | boolean | null;
  origin: "default" | "file" | "environment" | "flag";
  /** The variable or flag that beats the file. */
  locked_by: string | null;
  /** It counts from the next start of the server. */
  restart: boolean;
}

/** What an import left out, where in the file, and why: `reason` goes with the values that its sentence names. */
export interface Skipped {
  place: { extent: "file" | "whole" | "onwards" | "after" | "end" | "in" | "more"; file: string; number: number; title: string };
  reason: string;
  values: Record<string, string | number>;
}

/** What came of an import. */
export interface Report {
  taken: number;
  chats: string[];
  format: string | null;
  skipped: Skipped[];
}

export interface Said {
  role: string;
  content: string;
}

export type Training = "free" | "conditions" | "forbidden" | "unknown";

export interface Licence {
  model?: string;
  licence?: string;
  training: Training;
  why: string;
}

/** Two answers to one prompt, of which one is better. Where a text has no model, the reader wrote it. */
export interface Pair {
  chat: string;
  prompt: Said[];
  chosen: Said[];
  rejected: Said[];
  because: "corrected" | "vote" | "thumbs";
  reasons: string[];
  /** Of the better answer and the worse: the same twice if it was corrected. */
  nodes: [number, number];
  created: number;
  training: Training;
  licences: Record<"chosen" | "rejected", Licence>;
}

/** An answer with a thumb, up if `label`, that is in no pair. */
export interface Rating {
  chat: string;
  node: number;
  prompt: Said[];
  reply: Said;
  label: boolean;
  reasons: string[];
  created: number;
  training: Training;
  licence: Licence;
}

export interface ToolServer {
  name: string;
  kind: "command" | "url" | "searxng";
  place: string;
}

export interface Tools {
  servers: ToolServer[];
  /** What each persona may use: `server`, or `server/tool`. */
  personas: Record<string, string[]>;
  may_change: boolean;
}
