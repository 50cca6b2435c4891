/** Markdown as a list of blocks that can be rendered while it grows.
 *
 * Once something follows a block at the top level, later text cannot change it. So when text is added, only the last block
 * is read again: an answer costs as much to show as it is long, not its square. What is a block is markdown-it's affair.
 */
import { parse, render } from "./render.ts";

export interface Block {
  /** Where it begins in the source, which does not change. */
  start: number;
  source: string;
  html: string;
  /** Languages of the code in it that were not here yet. */
  missing: readonly string[];
}

/** Blocks of `source`; those of `before`, which it may begin with, are taken over. */
export function blocks(source: string, before: readonly Block[] = []): Block[] {
  const settled = before.slice(0, -1);
  const kept = settled.every((block) => source.startsWith(block.source, block.start)) ? settled : [];
  const last = kept.at(-1);
  const from = last ? last.start + last.source.length : 0;
  return [...kept, ...fresh(source.slice(from), from)];
}

function fresh(text: string, offset: number): Block[] {
  const tokens = parse(text);
  const lines = lineStarts(text);
  const found: Block[] = [];
  let first = 0;
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    if (token.level !== 0 || token.nesting === 1) continue; // inside, or the beginning of something
    const [top] = tokens[first]!.map ?? [0];
    const begin = found.length ? lines[top]! : 0; // blank lines before the first belong to it
    if (found.length) found.at(-1)!.source = text.slice(found.at(-1)!.start - offset, begin);
    found.push({ start: offset + begin, source: "", ...render(tokens.slice(first, i + 1)) });
    first = i + 1;
  }
  if (found.length) found.at(-1)!.source = text.slice(found.at(-1)!.start - offset);
  return found;
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}
