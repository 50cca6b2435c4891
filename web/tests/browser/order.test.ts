/** Chats are found, named, put somewhere, thrown away and brought back. */
import { expect, test } from "vitest";
import { stage } from "./stage.ts";

const on = stage();
const side = () => on.here.page.getByRole("navigation");
const asked = (method: string) => on.server.chats.asked.filter((one) => one.method === method).map(({ body }) => body);

async function choose(title: string, item: string): Promise<void> {
  await side().getByRole("link", { name: title }).hover();
  await side().getByLabel(`What to do with “${title}”`).click();
  await on.here.page.getByRole("menu").getByText(item, { exact: true }).click();
}

test("chats are grouped by time, and a pinned one stands above", async () => {
  on.server.chats.create({ title: "Old one", updated: Date.now() / 1000 - 90 * 86400 });
  on.chat(["New one"]);
  await on.here.page.reload();
  await expect.poll(() => side().getByRole("heading").allInnerTexts()).toEqual(["Today", "Older"]);
  await choose("Old one", "Pin");
  await expect.poll(() => side().getByRole("heading").allInnerTexts()).toEqual(["Pinned", "Today"]);
});

test("a chat is renamed and put into a folder with tags, by which it is found", async () => {
  on.chat(["Hello"]);
  on.chat(["Another"]);
  await on.here.page.reload();
  await choose("Hello", "Rename");
  await on.here.page.getByLabel("Title of this chat").fill("Greetings");
  await on.here.page.getByLabel("Folder").fill("Manners");
  await on.here.page.getByLabel("Tags").fill("polite, short, polite");
  await on.here.page.keyboard.press("Enter");
  await side().getByText("Greetings").waitFor();
  expect(asked("PATCH").at(-1)).toEqual({ title: "Greetings", folder: "Manners", tags: ["polite", "short"] });
  await on.here.page.goto(`${on.server.url}/#/search`);
  const rows = on.here.page.getByRole("main").locator("li");
  await expect.poll(() => rows.count()).toBe(2);
  await on.here.page.getByLabel("Folder").selectOption("Manners");
  await expect.poll(() => rows.count()).toBe(1);
  await on.here.page.reload();
  await expect.poll(() => rows.allInnerTexts()).toEqual([expect.stringContaining("#polite")]);
});

test("what was said is found, marked, and opened where it was said", async () => {
  on.chat(["Hello", "The <b>password</b> is swordfish, reader", "Thanks", "Welcome"]);
  await on.here.page.keyboard.press("Control+k");
  await on.here.page.locator("input[type=search]:focus").waitFor();
  await on.here.page.keyboard.type("swordfish");
  const mark = on.here.page.locator("mark");
  expect(await mark.innerText()).toBe("swordfish");
  await on.here.page.getByText("The <b>password</b> is").waitFor();
  await on.here.page.getByRole("heading", { name: "1 chat found" }).waitFor();
  expect(await on.here.violations()).toEqual([]);
  await on.here.page.getByRole("main").getByRole("link", { name: "Hello" }).click();
  await on.here.answers.first().waitFor();
  expect(on.here.page.url()).toMatch(/\?node=\d+$/);
});

test("a search is narrowed by place, folder and tag, and a title brings what was said last", async () => {
  const { page } = on.here;
  const change = (id: string, fields: object) => Object.assign(on.server.chats.infos.get(id)!, fields);
  change(on.chat(["swordfish", "A fish."]), { folder: "Sea", tags: ["wet"] });
  change(on.chat(["Kitchen", "swordfish with lemon"]), { archived: true });
  change(on.chat(["Bin", "swordfish bones"]), { deleted: 1 });
  change(on.chat(["Hello", "Good day to you"]), { title: "swordfish, again" });
  await page.goto(`${on.server.url}/#/search?query=swordfish`);
  const rows = page.getByRole("main").locator("li");
  const pressed = () => page.getByRole("group", { name: "Where to look" }).locator("[aria-pressed=true]").allInnerTexts();
  await expect.poll(() => rows.count()).toBe(3);
  expect(await pressed()).toEqual(["Everywhere"]);
  await page.getByText("Good day to you").waitFor();
  expect(await on.here.violations()).toEqual([]);
  for (const [place, count] of [["Archive", 1], ["Bin", 1], ["Chats", 2]] as const) {
    await page.getByRole("button", { name: place, exact: true }).click();
    await expect.poll(() => rows.count()).toBe(count);
    expect(await pressed()).toEqual([place]);
  }
  await page.getByLabel("Folder").selectOption("Sea");
  await expect.poll(() => rows.count()).toBe(1);
  expect(await page.getByLabel("Folder").inputValue()).toBe("Sea");
  expect(await page.locator("input[type=search]").inputValue()).toBe("swordfish");
});

test("what can be undone waits for who points at it, or has the focus in it", async () => {
  const { page } = on.here;
  on.chat(["Hello"]);
  await page.clock.install();
  await page.reload();
  await choose("Hello", "Delete");
  const undo = page.getByRole("button", { name: "Undo" });
  await undo.waitFor();
  await page.clock.runFor(15_000);
  await undo.hover();
  await page.clock.runFor(60_000);
  await undo.focus();
  await page.mouse.move(0, 0);
  await page.clock.runFor(60_000);
  expect(await undo.count()).toBe(1);
  await undo.evaluate((button: HTMLElement) => button.blur());
  await page.clock.runFor(21_000);
  await expect.poll(() => undo.count()).toBe(0);
});

test("a deleted chat is brought back at once or from the bin, and is gone for good only when it is said so", async () => {
  const id = on.chat(["Hello", "Good day"]);
  await on.here.page.goto(`${on.server.url}/#/c/${id}`);
  await on.here.answers.waitFor();
  await choose("Hello", "Delete");
  await on.here.page.getByText("“Hello” is in the bin.").waitFor();
  await on.here.message.waitFor();
  expect(await side().getByRole("link", { name: "Hello" }).count()).toBe(0);
  await on.here.page.getByRole("button", { name: "Undo" }).click();
  await side().getByRole("link", { name: "Hello" }).waitFor();
  await choose("Hello", "Delete");
  await on.here.page.goto(`${on.server.url}/#/search?state=deleted`);
  const main = on.here.page.getByRole("main");
  await main.getByRole("link", { name: "Hello" }).waitFor();
  expect(await on.here.violations()).toEqual([]);
  await main.getByLabel("What to do with “Hello”").click();
  await on.here.page.getByRole("menuitem", { name: "Delete for good" }).click();
  await on.here.page.getByRole("button", { name: "Delete for good" }).click();
  await main.getByText("The bin is empty.").waitFor();
  expect(on.server.chats.infos.size).toBe(0);
});

test("a chat goes to the archive and comes out of it", async () => {
  on.chat(["Hello"]);
  await on.here.page.reload();
  await choose("Hello", "Archive");
  await expect.poll(() => side().getByRole("link", { name: "Hello" }).count()).toBe(0);
  await on.here.page.goto(`${on.server.url}/#/search?state=archived`);
  await on.here.page.getByRole("main").getByLabel("What to do with “Hello”").click();
  await on.here.page.getByRole("menuitem", { name: "Take out of the archive" }).click();
  await side().getByRole("link", { name: "Hello" }).waitFor();
});

test("a chat is taken away as a file", async () => {
  on.chat(["Hello"]);
  await on.here.page.reload();
  const [file] = await Promise.all([on.here.page.waitForEvent("download"), choose("Hello", "Export as Markdown")]);
  expect(file.url()).toMatch(/\/chats\/\w+\/export\?format=markdown$/);
});
