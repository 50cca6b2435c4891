/** Stands in for the package of that name in markdown-it: the browser has the table already. */
const field = document.createElement("textarea");

export function decodeHTMLStrict(entity: string): string {
  field.innerHTML = entity; // a textarea holds text only: no element is ever made of it
  return field.value;
}
