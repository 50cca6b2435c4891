/** What is committed is what the source makes, and small enough to be there at once. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { folder } from "./build.ts";
import { launch, visit } from "./browser.ts";
import { mock } from "../mock/server.ts";

const committed = fileURLToPath(new URL("../../../src/gadfly/server/static", import.meta.url));
const list = (root: string) => readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
const names = (root: string) => list(root).map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)).sort();

test("the committed page is the one that this source makes; if not, run `make web`", () => {
  expect(names(committed)).toEqual(names(folder));
  const differ = names(folder).filter((name) => !readFileSync(join(folder, name)).equals(readFileSync(join(committed, name))));
  expect(differ).toEqual([]);
});

test("the first load of a new chat and of a conversation is at most 120 kB, compressed", async () => {
  const server = await mock(folder);
  const browser = await launch();
  const chat = server.chats.create();
  const said = server.chats.add(chat.id, { content: "Hello" });
  server.chats.add(chat.id, { parent: said.id, role: "assistant", content: "Good *day*." });
  for (const path of ["/", `/#/c/${chat.id}`]) {
    const here = await visit(browser, server.url, "/icon.svg");
    const loaded = new Map<string, number>();
    here.page.on("response", async (response) => {
      const { pathname } = new URL(response.url());
      if (!pathname.startsWith("/app/")) loaded.set(pathname, gzipSync(await response.body()).length);
    });
    await here.page.goto(server.url + path, { waitUntil: "networkidle" }).catch(() => {});
    const total = [...loaded.values()].reduce((sum, size) => sum + size, 0);
    expect(total).toBeGreaterThan(20_000);
    expect(total).toBeLessThan(120_000);
  }
  await browser.close();
  await server.close();
});
