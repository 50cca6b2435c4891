/** From markdown to HTML that is safe to show: no HTML of the author's, nothing that runs, nothing that is fetched. */
import DOMPurify from "dompurify";
import MarkdownIt, { type Token } from "markdown-it";
import { t } from "../lib/i18n.svelte.ts";
import { highlight } from "./highlight.ts";
import { math } from "./math.ts";

const markdown = new MarkdownIt({ html: false, breaks: true, linkify: true }).use(math);
const { escapeHtml } = markdown.utils;
const { rules } = markdown.renderer;
let missing: string[] = [];

const code = (text: string, tag: string) => {
  const coloured = highlight(text, tag);
  if (coloured === null && tag) missing.push(tag);
  return (
    `<div class="code"><div class="code-bar"><span>${escapeHtml(tag)}</span>` +
    `<button type="button" class="copy">${escapeHtml(t("code.copy"))}</button></div>` +
    `<pre tabindex="0" role="group" aria-label="${escapeHtml(t("code.label", { language: tag }))}"><code>${coloured ?? escapeHtml(text)}</code></pre></div>`
  );
};

rules.fence = (tokens, index) => code(tokens[index]!.content, tokens[index]!.info.trim().split(/\s+/)[0] ?? "");
rules.code_block = (tokens, index) => code(tokens[index]!.content, "");
rules.table_open = () => `<div class="table" tabindex="0" role="group" aria-label="${escapeHtml(t("table.label"))}"><table>`;
rules.table_close = () => "</table></div>";
// The policy of the page allows no style attributes, which columns would be aligned with.
rules.th_open = rules.td_open = (tokens, index, options, _env, renderer) => {
  const cell = tokens[index]!;
  const [, side] = String(cell.attrGet("style") ?? "").split(":");
  cell.attrs = side ? [["align", side]] : null;
  return renderer.renderToken(tokens, index, options);
};
// A picture would be fetched from wherever its author likes, and tell who reads it.
rules.image = (tokens, index) => {
  const token = tokens[index]!;
  return `<a href="${escapeHtml(String(token.attrGet("src")))}">${escapeHtml(token.content || t("image.link"))}</a>`;
};

const allowed = {
  ALLOWED_TAGS: (
    "a b blockquote br button code del div em h1 h2 h3 h4 h5 h6 hr i li ol p pre s span strong table tbody td th thead tr ul"
  ).split(" "),
  ALLOWED_ATTR: ["href", "class", "type", "tabindex", "role", "aria-label", "start", "rel", "target", "align"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ADD_URI_SAFE_ATTR: ["align", "start", "tabindex", "type"], // these hold no address
};

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

export function parse(text: string): Token[] {
  return markdown.parse(text, {});
}

/** HTML of whole blocks, and the languages of their code that are not here yet. */
export function render(tokens: Token[]): { html: string; missing: readonly string[] } {
  missing = [];
  const html = DOMPurify.sanitize(markdown.renderer.render(tokens, markdown.options, {}), allowed);
  return { html, missing };
}
