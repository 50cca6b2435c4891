/** Gathers what arrives of answers and writes it once per frame, however fast it comes. */

/** Text of the answer, or of the thought before it. */
export interface Delta {
  node: number;
  /** Where it begins: UTF-16 units before it. */
  at: number;
  text?: string;
  reasoning?: string;
}

export interface Written {
  content: string;
  reasoning: string;
}

export class Pen {
  private readonly gathered = new Map<number, Written>();
  private frame = 0;

  constructor(
    private readonly write: (node: number, more: Written) => void,
    private readonly nextFrame: (run: () => void) => number = (run) => requestAnimationFrame(run),
  ) {}

  /** Takes what follows `written`. Says false when something is missing before it; what is known already is left out. */
  take(delta: Delta, written: Written): boolean {
    const more = this.gathered.get(delta.node) ?? { content: "", reasoning: "" };
    const kind = delta.text === undefined ? "reasoning" : "content";
    const known = written[kind].length + more[kind].length;
    if (delta.at > known) return false;
    const text = (delta.text ?? delta.reasoning ?? "").slice(known - delta.at);
    this.gathered.set(delta.node, { ...more, [kind]: more[kind] + text });
    this.frame ||= this.nextFrame(() => this.flush());
    return true;
  }

  forget(node: number): void {
    this.gathered.delete(node);
  }

  drop(): void {
    this.gathered.clear();
  }

  private flush(): void {
    this.frame = 0;
    const gathered = [...this.gathered];
    this.gathered.clear();
    for (const [node, more] of gathered) this.write(node, more);
  }
}
