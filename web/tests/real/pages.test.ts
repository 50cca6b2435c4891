/** The pages besides chats, before the real server: what is set, made, said and taken in there is there afterwards. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launch, visit, type Visit } from "../browser/browser.ts";
import { serve, type Serving } from "./serve.ts";

let browser: Browser;
let server: Serving;
let here: Visit;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), serve(true)]);
  here = await visit(browser, server.url);
});
afterAll(async () => {
  await here?.end();
  await browser.close();
  await server.close();
});

const button = (name: string) => here.page.getByRole("button", { name, exact: true });
const heading = (name: string) => here.page.getByRole("heading", { name, exact: true });
const item = (name: string) => here.page.getByRole("menuitem", { name, exact: true });
const file = (name: string, content: unknown) => ({ name, mimeType: "application/json", buffer: Buffer.from(JSON.stringify(content)) });

/** Goes where the sidebar leads to. */
async function go(name: string): Promise<void> {
  await here.page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
}

async function downloaded(press: () => Promise<void>): Promise<string> {
  const [download] = await Promise.all([here.page.waitForEvent("download"), press()]);
  return readFileSync(await download.path(), "utf8");
}

test("a setting is written to gadfly.toml and back", async () => {
  const written = () => readFileSync(join(server.home, "gadfly.toml"), "utf8");
  await go("Settings");
  await here.page.getByRole("slider", { name: "Wit" }).fill("0.25");
  await here.page.getByRole("button", { name: "Back to the default: Wit" }).waitFor();
  expect(written()).toMatch(/^wit = 0.25$/m);
  await here.page.getByRole("button", { name: "Back to the default: Wit" }).click();
  await here.page.getByRole("button", { name: "Back to the default: Wit" }).waitFor({ state: "detached" });
  expect(written()).not.toMatch(/^wit/m);
  expect(await here.violations()).toEqual([]);
});

test("chats of ChatGPT are taken in, and what could not be is said", async () => {
  const message = (role: string, text: string) => ({ author: { role }, create_time: 1.7e9, content: { content_type: "text", parts: [text] } });
  const mapping = {
    a: { id: "a", parent: null, children: ["b"], message: null },
    b: { id: "b", parent: "a", children: ["c", "d"], message: message("user", "Who bit Socrates?") },
    c: { id: "c", parent: "b", children: [], message: message("assistant", "A wasp.") },
    d: { id: "d", parent: "b", children: [], message: message("assistant", "Athens did.") },
  };
  const chats = [{ title: "Bitten", create_time: 1.7e9, update_time: 1.7e9, mapping, current_node: "d" }, { title: "Broken", mapping: 7 }];
  await here.page.locator("input[type=file]").setInputFiles(file("conversations.json", chats));
  await here.page.getByText("1 chat taken in").waitFor();
  await here.page.getByText("Conversation 2 “Broken”: mapping is 7; expected an object").waitFor();
  expect(await here.violations()).toEqual([]);
  await here.page.getByRole("link", { name: "Bitten", exact: true }).click();
  await here.page.getByText("Athens did.").waitFor();
  await here.page.getByText("2/2").waitFor();
});

test("a persona of one's own answers", async () => {
  await go("Personas");
  await here.page.getByRole("heading", { name: "gadfly" }).waitFor();
  expect(await here.violations()).toEqual([]);
  await button("New persona").click();
  await here.page.getByLabel("Name").fill("cicada");
  await here.page.getByLabel("Description").fill("Sings one word.");
  await here.page.getByLabel("What the model is told").fill("Answer in one word.");
  for (const number of [1, 2, 3]) {
    await button("Add an example").click();
    await here.page.getByLabel(`Question ${number}`).fill("What do you think?");
    await here.page.getByLabel(`Answer ${number}`).fill("Chirp.");
  }
  await here.page.locator("summary", { hasText: "Sampling" }).click();
  await here.page.getByLabel("temperature").fill("0.72");
  expect(await here.violations()).toEqual([]);
  await button("Save").click();
  await heading("cicada").waitFor();
  expect(readFileSync(join(server.home, "personas", "cicada.toml"), "utf8")).toContain("Answer in one word.");
  await button("Start a chat").click();
  await here.say("What is the capital of France?");
  await here.answers.getByLabel("Answer again").waitFor();
});

test("a corrected answer is a pair that can be taken away", async () => {
  await here.answers.getByLabel("Bad answer").click();
  await here.page.getByLabel("What it should have said").fill("Paris, if it must be.");
  await here.page.getByLabel("wrong").check();
  await button("Keep").click();
  await button("Keep").waitFor({ state: "detached" }); // once it is kept
  await go("Feedback");
  await here.page.getByText("Paris, if it must be.").waitFor();
  expect(await here.violations()).toEqual([]);
  const pairs = await downloaded(() => button("Export pairs").click());
  expect(JSON.parse(pairs.trim()).chosen).toMatchObject([{ content: "Paris, if it must be." }]);
  await button("Take the correction back").click();
  await here.page.getByText("Paris, if it must be.").waitFor({ state: "detached" });
  await button("Undo").click();
  await here.page.getByText("Paris, if it must be.").waitFor();
});

test("a thumb without a partner is taken away, and back", async () => {
  await go("New chat");
  await here.say("What is the capital of Spain?");
  await here.answers.getByLabel("Answer again").waitFor();
  await here.answers.getByLabel("Good answer").click();
  await here.page.keyboard.press("Escape");
  await go("Feedback");
  await here.page.getByLabel("Why it counts").selectOption("alone");
  await heading("What is the capital of Spain?").waitFor();
  expect(await here.violations()).toEqual([]);
  const thumbs = await downloaded(() => button("Export thumbs").click());
  expect(JSON.parse(thumbs.trim())).toMatchObject({ label: true, reply: { role: "assistant" } });
  await button("Take the thumb back").click();
  await here.page.getByText("No thumb stands alone").waitFor();
  await button("Undo").click();
  await button("Take the thumb back").waitFor();
});

test("a model is loaded and let go", async () => {
  await go("Models");
  const row = here.page.locator("main li", { hasText: "twin" });
  const act = async (name: string) => (await row.getByRole("button").click(), item(name).click());
  const loaded = row.getByText("loaded", { exact: true });
  await act("Load into memory");
  await loaded.waitFor();
  expect(await here.violations()).toEqual([]);
  await act("Unload");
  await loaded.waitFor({ state: "detached" });
});

test("a mixture shows which of its experts spoke in which layer", async () => {
  await go("New chat");
  await here.page.getByLabel("Model", { exact: true }).selectOption("mix");
  await here.say("Hm?");
  await here.answers.getByLabel("Answer again").waitFor({ timeout: 30_000 });
  await here.answers.getByLabel("Look inside").click();
  await here.page.getByRole("tab", { name: "Experts" }).click();
  const rows = await here.page.getByRole("tabpanel").locator("tbody tr").allInnerTexts();
  const counts = rows.map((row) => row.split(/\s+/).slice(1).map((cell) => Number(cell.replaceAll(",", ""))));
  expect(counts.map((layer) => layer.length)).toEqual([4, 4]);
  const given = counts.map((layer) => layer.reduce((sum, count) => sum + count));
  expect(given[0]).toBeGreaterThan(0);
  expect(given[0]).toBe(given[1]); // every token goes to as many experts in each layer
  expect(await here.violations()).toEqual([]);
});

test("a server of tools is added, allowed and removed", async () => {
  await go("Tools");
  await here.page.getByLabel("Name").fill("clock");
  await here.page.getByLabel("Address").fill("http://127.0.0.1:9/mcp");
  await button("Add a server").click();
  await here.page.getByText("http://127.0.0.1:9/mcp").waitFor();
  await here.page.getByRole("checkbox", { name: "cicada" }).check();
  await here.page.getByRole("button", { name: "What can it do?: clock" }).click();
  await here.page.locator(".problem").first().waitFor();
  expect(await here.violations()).toEqual([]);
  await here.page.getByRole("button", { name: "Remove: clock" }).click();
  await here.page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await here.page.getByText("No tools. Gadfly only talks.").waitFor();
});

test("a chat is found, pinned, put into the archive and the bin, and gone", async () => {
  await go("Search");
  const menu = here.page.locator("main").getByRole("button", { name: "What to do with “Bitten”" });
  const act = async (name: string) => (await menu.click(), item(name).click());
  await here.page.getByRole("searchbox").fill("Athens");
  await here.page.locator("mark", { hasText: "Athens" }).waitFor();
  expect(await here.violations()).toEqual([]);
  await menu.click();
  await here.page.getByRole("menuitemcheckbox", { name: "Pin" }).click();
  await here.page.locator("main").getByText("Pinned").waitFor();
  await act("Archive");
  await here.page.getByRole("searchbox").fill("");
  await button("Archive").click();
  await act("Delete");
  await here.page.getByText("The archive is empty.").waitFor();
  await button("Bin").click();
  await menu.waitFor();
  expect(await here.violations()).toEqual([]);
  await button("Empty the bin").click();
  await here.page.getByRole("dialog").getByRole("button", { name: "Empty the bin" }).click();
  await here.page.getByText("The bin is empty.").waitFor();
});
