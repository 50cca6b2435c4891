/** LaTeX in markdown: `$x$`, `\(x\)`, and on lines of their own `$$x$$`, `\[x\]`. Money stays money.
 *
 * The source becomes the text of an element of class `math`, which `typeset` turns into a formula when it is on the page:
 * KaTeX sets sizes through the document's own interface then, which the page's policy allows, unlike style attributes.
 */
import type { MarkdownIt, StateBlock, StateInline, Token } from "markdown-it";

const pairs = [
  ["$$", "$$", true],
  ["\\[", "\\]", true],
  ["\\(", "\\)", false],
  ["$", "$", false],
] as const;

function inline(state: StateInline, silent: boolean): boolean {
  for (const [open, close, display] of pairs) {
    if (!state.src.startsWith(open, state.pos)) continue;
    const start = state.pos + open.length;
    const end = state.src.indexOf(close, start);
    if (end <= start || end > state.posMax) continue;
    const tex = state.src.slice(start, end);
    const money = open === "$" && (/^\s|\s$|\\$/.test(tex) || /\d/.test(state.src[end + 1] ?? ""));
    if (money) continue;
    if (!silent) push(state.push("math", "", 0), tex, display);
    state.pos = end + close.length;
    return true;
  }
  return false;
}

function block(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  const first = line(state, startLine).trimStart();
  const pair = pairs.find(([open, , display]) => display && first.startsWith(open));
  if (!pair || state.sCount[startLine]! - state.blkIndent >= 4) return false;
  const [open, close] = pair;
  for (let next = startLine; next < endLine; next++) {
    const text = next === startLine ? first.slice(open.length) : line(state, next);
    if (!text.trimEnd().endsWith(close)) continue;
    if (silent) return true;
    const lines = [];
    for (let i = startLine; i <= next; i++) lines.push(i === startLine ? first : line(state, i));
    const token = state.push("math", "", 0);
    push(token, lines.join("\n").trim().slice(open.length, -close.length), true);
    token.block = true;
    token.map = [startLine, next + 1];
    state.line = next + 1;
    return true;
  }
  return false;
}

function line(state: StateBlock, number: number): string {
  return state.src.slice(state.bMarks[number]! + state.tShift[number]!, state.eMarks[number]);
}

function push(token: Token, tex: string, display: boolean): void {
  token.content = tex.trim();
  token.info = display ? "display" : "";
}

export function math(markdown: MarkdownIt): void {
  markdown.inline.ruler.before("escape", "math", inline);
  markdown.block.ruler.before("fence", "math", block, { alt: ["paragraph", "reference", "blockquote", "list"] });
  markdown.renderer.rules.math = (tokens, index) => {
    const { content, info } = tokens[index]!;
    return `<span class="math ${info}">${markdown.utils.escapeHtml(content)}</span>`;
  };
}

/** Turns the formulas below `root` from LaTeX into what it means. */
export async function typeset(root: HTMLElement): Promise<void> {
  const formulas = root.querySelectorAll<HTMLElement>(".math:not([data-set])");
  if (!formulas.length) return;
  const { default: katex } = await import("./katex.ts");
  for (const formula of formulas) {
    if (formula.dataset.set) continue;
    formula.dataset.set = "yes";
    const displayMode = formula.classList.contains("display");
    const tex = formula.textContent;
    try {
      katex.render(tex, formula, { displayMode, trust: false, maxExpand: 500, maxSize: 20 });
    } catch (error) {
      formula.textContent = tex; // as it was written, with what is wrong with it
      formula.title = error instanceof Error ? error.message : String(error);
    }
  }
}
