/** A stream of server-sent events that is there while the page is seen, and comes back by itself.
 *
 * Browsers allow six connections to a server, tabs together; a hidden tab that kept its streams would starve the others.
 * Whoever listens is told of each new beginning by the first event, and catches up from there.
 */
import { base } from "./http.ts";

export type Handlers = Record<string, (data: any) => void>;

export interface Listening {
  close(): void;
  /** Begins anew, for a listener that has found a gap. */
  restart(): void;
}

const PATIENCE = 2000; // milliseconds until the next try, where the browser gives up

export function listen(path: string, handlers: Handlers, connected: (yes: boolean) => void): Listening {
  let source: EventSource | null = null;
  let retry: ReturnType<typeof setTimeout> | undefined;

  function open(): void {
    if (source || document.hidden) return;
    const stream = (source = new EventSource(base + path));
    stream.onopen = () => connected(true);
    stream.onerror = () => {
      connected(false);
      if (stream.readyState !== EventSource.CLOSED) return; // the browser tries again
      shut();
      retry = setTimeout(open, PATIENCE);
    };
    for (const [name, handle] of Object.entries(handlers)) {
      stream.addEventListener(name, (event) => handle(JSON.parse((event as MessageEvent<string>).data)));
    }
  }

  function shut(): void {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  const seen = () => (document.hidden ? shut() : open());
  document.addEventListener("visibilitychange", seen);
  window.addEventListener("pagehide", shut);
  window.addEventListener("pageshow", seen);
  open();
  return {
    close() {
      document.removeEventListener("visibilitychange", seen);
      window.removeEventListener("pagehide", shut);
      window.removeEventListener("pageshow", seen);
      shut();
    },
    restart() {
      shut();
      open();
    },
  };
}
