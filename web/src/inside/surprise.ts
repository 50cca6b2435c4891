/** How unlikely a word was, as a level from 0 (sure of it) to 4 (one in fifty or less). */

const bounds = [0.8, 0.4, 0.1, 0.02];

export const levels = bounds.length + 1;

export function surprise(logprob: number | null): number {
  if (logprob === null) return 0;
  const share = Math.exp(logprob);
  const level = bounds.findIndex((bound) => share >= bound);
  return level === -1 ? bounds.length : level;
}

/** The answer up to the token at `index`, or null where its text is not that of the answer: a character in several tokens. */
export function before(content: string, start: number, texts: readonly string[], index: number): string | null {
  const known = content.slice(0, start) + texts.slice(0, index).join("");
  return content.startsWith(known) ? known : null;
}
