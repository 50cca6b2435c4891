/** Has the browser keep what the server gives at an address, without leaving the page. */
export function download(path: string): void {
  const link = document.createElement("a");
  link.href = path;
  link.download = "";
  link.click();
}
