/** What may be done about a run that failed, by what its process said last: see `errors` of gadfly. */
const signs = {
  memory: /memory|killed by signal 9/i,
  disk: /disk|no space left|\broom\b/i,
  diverged: /the loss of step \d+ is/,
  nothing: /nothing (that|to|of it|is left|in it)|no line of it|no sample/,
  gone: /there is no (model|file)|is not here/,
  reader: /has no (chat template|tokenizer)/,
  changed: /belongs to a run with another|damaged|cut short/,
} as const;

export type Why = keyof typeof signs | "unknown";

export function whyOf(error: string): Why {
  return (Object.keys(signs) as (keyof typeof signs)[]).find((why) => signs[why].test(error)) ?? "unknown";
}
