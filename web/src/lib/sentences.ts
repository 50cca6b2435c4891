/** Cuts a text that grows into whole sentences, for those who listen to it. */

export class Sentences {
  private said = 0;

  constructor(private readonly language: string) {}

  /** The sentences that have ended since the last call; all that is left when the text is `done`. */
  take(text: string, done: boolean): string {
    let end = text.length;
    if (!done) {
      const segments = [...new Intl.Segmenter(this.language, { granularity: "sentence" }).segment(text.slice(this.said))];
      end = this.said + (segments.at(-1)?.index ?? 0); // the last one may go on
    }
    const ready = text.slice(this.said, end);
    this.said = Math.max(this.said, end);
    return spoken(ready);
  }
}

/** Markdown without its marks. */
export function spoken(markdown: string): string {
  return markdown
    .replace(/```\w*/g, " ")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^[ \t]*(?:#{1,6}|[-*+>]|\d+\.)[ \t]+/gm, "")
    .replace(/[*_`|$]+/g, "")
    .replace(/\s+/g, " ")
    .trim();
}
