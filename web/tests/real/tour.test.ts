/** The real server with the real default model, through the features of a conversation, in both languages.
 *
 * With GADFLY_SLOW all of it in both; else the beginning, in German.
 */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import de from "../../messages/de.json";
import en from "../../messages/en.json";
import { launch, visit, type Visit } from "../browser/browser.ts";
import { serve, type Serving } from "./serve.ts";

const slow = Boolean(process.env.GADFLY_SLOW);
let browser: Browser;
let server: Serving;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), serve()]);
});
afterAll(async () => {
  await browser.close();
  await server.close();
});

describe.each([
  ["de", de, "de-DE"],
  ["en", en, "en-GB"],
])("in the language %s", (tag, messages, locale) => {
  type Texts = Record<string, string | { other: string }>;
  const t = (key: keyof typeof en) => (messages as Texts)[key] as string;
  let here: Visit;
  const button = (key: keyof typeof en) => here.page.getByRole("button", { name: t(key), exact: true });
  const last = () => here.answers.last();
  const said = () => last().locator(".body").innerText();

  /** Until the last answer is whole. */
  async function written(): Promise<string> {
    await last().getByLabel(t("action.redo")).waitFor({ timeout: 60_000 });
    return said();
  }
  const step = test.skipIf(!slow);
  const first = test.skipIf(!slow && tag !== "de");

  beforeAll(async () => {
    if (slow || tag === "de") here = await visit(browser, server.url, "/", { locale });
  });
  afterAll(() => here?.end());

  first("a question is answered, and both are there after a reload", async () => {
    await here.page.getByText(t("new.title")).waitFor();
    await here.say("What is the capital of France?");
    const answer = await written();
    expect(answer).toContain("Paris");
    await here.page.reload();
    expect(await written()).toBe(answer);
    expect(await here.page.getByLabel(t("chat.title")).inputValue()).toContain("capital of France");
  });

  first("another answer is a branch, and the first is still there", async () => {
    const before = await said();
    await last().getByLabel(t("action.redo")).click();
    await here.page.getByText("2/2").waitFor();
    await written();
    await here.page.getByLabel(t("branch.previous")).click();
    await expect.poll(said).toBe(before);
  });

  first("inside are its words, the exact prompt and what it took; a branch begins with another word", async () => {
    await last().getByLabel(t("action.look")).click();
    await here.page.locator(".words button").nth(1).click();
    const other = here.page.locator(".words + section li:not(.taken)").first();
    const word = (await other.locator("code").innerText()).replaceAll("␣", " ");
    const start = await here.page.locator(".words button").first().innerText();
    await here.page.getByRole("tab", { name: t("inside.prompt") }).click();
    await here.page.getByText("capital of France", { exact: false }).first().waitFor();
    await here.page.getByRole("tab", { name: t("inside.numbers") }).click();
    await here.page.getByText("Apache-2.0").waitFor();
    await here.page.getByRole("tab", { name: t("inside.words") }).click();
    await here.page.locator(".words button").nth(1).click();
    await other.getByRole("button").click();
    await here.page.getByText("3/3").waitFor();
    expect((await written()).replace(/\s+/g, " ")).toMatch(new RegExp(`^${escape(start + word).trim()}`));
  });

  first("nobody is left out, and nothing leaves", async () => {
    expect(await here.violations()).toEqual([]);
    expect(here.strays).toEqual([]);
    expect(here.errors).toEqual([]);
  });

  step("an answer goes on when its page is gone; it can be stopped and continued", async () => {
    await here.say("Write a very long story about a fly.");
    await expect.poll(() => here.answers.count()).toBe(2);
    await expect.poll(async () => (await said()).length).toBeGreaterThan(20);
    await here.page.reload();
    await expect.poll(async () => (await said()).length).toBeGreaterThan(40);
    await here.page.keyboard.press("Escape");
    await here.page.getByText(t("answer.stopped")).waitFor();
    const stopped = await said();
    await button("action.continue").click();
    await expect.poll(async () => (await said()).length).toBeGreaterThan(stopped.length);
    expect((await said()).startsWith(stopped.slice(0, 20))).toBe(true);
    await button("composer.stop").click();
    await here.page.getByText(t("answer.stopped")).waitFor();
  });

  step("an edited question is a branch of its own, an edited answer the reader's", async () => {
    const question = here.page.locator("article.user").last();
    await question.getByLabel(t("action.edit")).click();
    await here.page.getByLabel(t("edit.label")).fill("What is 2 + 2?");
    await button("edit.send").first().click();
    await here.page.locator("article.user").last().getByText("2/2").waitFor();
    await written();
    await last().focus();
    await here.page.keyboard.press("e");
    await here.page.getByLabel(t("edit.label")).fill("Five, of course.");
    await button("edit.save").click();
    await here.answers.getByText("Five, of course.").waitFor();
  });

  step("the dial is turned for the next answer, which says so", async () => {
    await here.page.getByRole("slider").fill("1");
    await here.page.getByText(t("wit.stinging")).waitFor();
    await here.say("Who are you?");
    await expect.poll(() => here.answers.count()).toBe(3);
    await written();
    await last().getByLabel(t("action.look")).click();
    await here.page.getByRole("tab", { name: t("inside.numbers") }).click();
    await here.page.locator("dl div", { hasText: t("wit.label") }).getByText("1", { exact: true }).waitFor();
    await last().getByRole("button", { name: t("action.look") }).click();
  });

  step("two dials are compared blind", async () => {
    await here.page.keyboard.press("Alt+v");
    await button("compare.ask").click();
    const better = button("compare.better");
    await expect.poll(() => better.first().isEnabled().catch(() => false), { timeout: 60_000 }).toBe(true);
    await better.first().click();
    await button("compare.goOn").first().click();
    await last().getByText(/\/3$/).waitFor();
  });

  step("a file is read, and what it takes is measured", async () => {
    const buffer = Buffer.from("The password of the castle is swordfish.\n".repeat(3));
    await here.page.locator("input[type=file]").setInputFiles({ name: "castle.txt", mimeType: "text/plain", buffer });
    await here.page.getByText("castle.txt").waitFor();
    await here.message.fill("What is the password of the castle?");
    await here.page.locator(".room").waitFor();
    await here.message.press("Enter");
    await expect.poll(() => here.answers.count()).toBe(4);
    expect((await written()).toLowerCase()).toContain("swordfish");
  });

  step("an answer is judged, and its branch named", async () => {
    await last().getByLabel(t("judge.bad")).click();
    await here.page.getByLabel(t("judge.corrected")).fill("Ask somebody else.");
    await button("judge.save").click();
    await here.page.keyboard.press("Alt+t");
    const row = here.page.getByRole("dialog").locator("li").last();
    await row.getByLabel(t("tree.name")).click();
    await here.page.keyboard.type("castle");
    await here.page.keyboard.press("Enter");
    await row.getByText("castle", { exact: true }).waitFor();
    await here.page.keyboard.press("Escape");
    await here.page.reload();
    await expect.poll(() => last().getByLabel(t("judge.bad")).getAttribute("aria-pressed")).toBe("true");
  });

  step("the model names the chat and asks better questions; a fork is a chat of its own", async () => {
    const before = here.page.url();
    const title = here.page.getByLabel(t("chat.title"));
    await title.fill("Mine");
    await title.press("Enter");
    await here.page.getByRole("link", { name: "Mine" }).waitFor();
    await here.page.locator("main header .menu button").click();
    await here.page.getByRole("menuitem", { name: t("chat.name") }).click();
    await expect.poll(() => title.inputValue(), { timeout: 60_000 }).not.toBe("Mine");
    await button("suggest.ask").click();
    await here.page.locator(".suggestions :is(.question, p)").first().waitFor({ timeout: 60_000 });
    await last().focus();
    await here.page.keyboard.press("f");
    await expect.poll(() => here.page.url()).not.toBe(before);
    await last().waitFor();
  });
});

function escape(text: string): string {
  return text.replace(/\s+/g, " ").replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
