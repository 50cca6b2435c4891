/** Where the reader is: `#/`, `#/c/ID?node=7`, `#/search?query=…`. The hash never reaches a server. */

export interface Route {
  page: string;
  id: string;
  query: URLSearchParams;
}

function read(): Route {
  const [path = "", search = ""] = location.hash.slice(1).split("?");
  const [, page = "", id = ""] = path.split("/");
  return { page, id: decodeURIComponent(id), query: new URLSearchParams(search) };
}

class Router {
  route = $state.raw(read());

  constructor() {
    window.addEventListener("hashchange", () => (this.route = read()));
  }

  go(path: string): void {
    location.hash = path;
  }

  /** Changes the address without a step in the history. */
  replace(path: string): void {
    history.replaceState(null, "", "#" + path);
    this.route = read();
  }
}

export const router = new Router();
export const chatPath = (id: string) => `/c/${encodeURIComponent(id)}`;
