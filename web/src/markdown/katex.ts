/** KaTeX with its style and fonts, fetched when the first formula is seen. */
import "katex/dist/katex.min.css";

export { default } from "katex";
