/** A browser, a mock of the server and a visit to it, for each test of a file. */
import type { Browser, BrowserContextOptions } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { mock, type Mock } from "../mock/server.ts";
import { folder } from "./build.ts";
import { launch, visit, type Visit } from "./browser.ts";

export interface Stage {
  server: Mock;
  here: Visit;
  /** Another page of the same server; it is looked after like the first. */
  open(path?: string, options?: BrowserContextOptions): Promise<Visit>;
  /** A chat of so many messages, in turn. */
  chat(texts: string[]): string;
}

export function stage(): Stage {
  let browser: Browser;
  let visits: Visit[] = [];
  const it = {
    async open(path?: string, options?: BrowserContextOptions) {
      const here = await visit(browser, it.server.url, path, options);
      visits.push(here);
      return here;
    },
    chat(texts: string[]) {
      const { id } = it.server.chats.create({ title: texts[0]! });
      let parent: number | null = null;
      texts.forEach((content, i) => {
        parent = it.server.chats.add(id, { parent, content, ...(i % 2 && { role: "assistant", model: "smollm2", has_trace: true }) }).id;
      });
      return id;
    },
  } as Stage;
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    it.server = await mock(folder);
    it.here = await it.open();
  });
  afterEach(async () => {
    const all = visits;
    visits = [];
    try {
      for (const here of all) await here.end();
    } finally {
      await it.server.close();
    }
  });
  return it;
}
