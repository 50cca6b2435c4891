import { expect, test } from "vitest";
import { stage } from "./stage.ts";

const on = stage();
const words = (count: number) => Array.from({ length: count }, (_, i) => `word${i}`).join(" ");

test("a question typed on the first page becomes a chat that is answered", async () => {
  await on.here.say("Hello there");
  await on.here.page.waitForURL(/#\/c\//);
  await on.here.answers.getByText("You said: Hello there").waitFor();
  expect(await on.here.message.inputValue()).toBe("");
});

test("an answer goes on without its page, and the page catches up; another page sees the same", async () => {
  on.server.chats.script = () => words(400);
  await on.here.say("Go on");
  await on.here.answers.getByText("word3 ").waitFor();
  await on.here.page.reload();
  const other = await on.open(new URL(on.here.page.url()).hash.replace("#", "/#"));
  for (const one of [on.here, other]) await one.answers.getByText("word399").waitFor();
  for (const one of [on.here, other]) expect(await one.answers.locator(".body").innerText()).toBe(words(400));
});

test("a page that missed something notices and reads it again", async () => {
  on.server.chats.script = () => words(300);
  await on.here.say("Go on");
  await on.here.answers.getByText("word3 ").waitFor();
  on.server.chats.skip(5);
  await on.here.answers.getByText("word299").waitFor();
  expect(await on.here.answers.locator(".body").innerText()).toBe(words(300));
});

test("an answer can be stopped with Escape, continued, and written anew beside the old one", async () => {
  on.server.chats.script = () => words(2000);
  await on.here.say("Go on");
  await on.here.answers.getByText("word3 ").waitFor();
  await on.here.page.keyboard.press("Escape");
  await on.here.page.getByText("Stopped.").waitFor();
  await on.here.page.getByRole("button", { name: "Continue", exact: true }).click();
  expect(on.server.chats.asked.some(({ path }) => path.endsWith("/continue"))).toBe(true);
  on.server.chats.script = () => "Something else.";
  await on.here.answers.getByLabel("Answer again").click();
  await on.here.answers.getByText("Something else.").waitFor();
  await on.here.page.getByRole("img", { name: "Branch 2 of 2" }).waitFor();
  await on.here.page.getByLabel("Previous branch").click();
  await on.here.answers.getByText("word3 ").waitFor();
});

test("any message can be edited: a question becomes a branch, an answer becomes the reader's own", async () => {
  await on.here.say("First");
  await on.here.answers.getByText("You said: First").waitFor();
  const question = on.here.page.locator("article.user");
  await question.getByLabel("Edit").click();
  await on.here.page.getByLabel("Edit this message").fill("Second");
  await on.here.page.keyboard.press("Control+Enter");
  await on.here.answers.getByText("You said: Second").waitFor();
  await question.getByRole("img", { name: "Branch 2 of 2" }).waitFor();
  await on.here.answers.focus();
  await on.here.page.keyboard.press("e");
  await on.here.page.getByLabel("Edit this message").fill("Mine");
  await on.here.page.getByRole("button", { name: "Keep my version" }).click();
  await on.here.answers.getByText("Mine").waitFor();
  expect(await on.here.answers.getAttribute("aria-label")).toBe("Your version");
});

test("a draft survives a reload and is kept with the chat", async () => {
  const id = on.chat(["Hello", "Good day"]);
  await on.here.page.goto(`${on.server.url}/#/c/${id}`);
  await on.here.message.fill("half a thou");
  await expect.poll(() => on.server.chats.infos.get(id)!.draft).toBe("half a thou");
  await on.here.page.reload();
  await on.here.answers.waitFor();
  expect(await on.here.message.inputValue()).toBe("half a thou");
  await on.here.page.clock.install();
  await on.here.page.clock.pauseAt(Date.now() + 60_000); // no pause in typing ends any more
  await on.here.message.press("Enter");
  await expect.poll(() => on.server.chats.infos.get(id)!.draft, { timeout: 20_000 }).toBe("");
});

test("whoever scrolls up is left alone, and can go back to the end", async () => {
  on.server.chats.script = () => words(1500).replaceAll(/(word\d*0) /g, "$1\n\n");
  await on.here.say("Go on");
  await on.here.answers.getByText("word300").waitFor();
  const box = on.here.page.locator(".box");
  const top = () => box.evaluate((element) => element.scrollTop);
  await box.hover();
  await on.here.page.mouse.wheel(0, -600);
  await on.here.page.getByRole("button", { name: "Latest" }).waitFor();
  const stood = await top();
  await on.here.answers.getByText("word700").waitFor();
  expect(await top()).toBe(stood);
  await on.here.page.getByRole("button", { name: "Latest" }).click();
  await on.here.answers.getByText("word1499").waitFor();
  const rest = await box.evaluate((element) => element.scrollHeight - element.clientHeight - element.scrollTop);
  expect(rest).toBeLessThan(2);
});

test("of a thousand messages those at hand are there, and others come and go as they are wanted", async () => {
  const id = on.chat(Array.from({ length: 1000 }, (_, i) => `message **${i}** of a thousand`));
  await on.here.page.goto(`${on.server.url}/#/c/${id}`);
  await on.here.answers.getByText("message 999 of").waitFor();
  const articles = on.here.page.locator("article");
  expect(await articles.count()).toBeLessThan(100);
  await on.here.page.locator(".box").evaluate((box) => (box.scrollTop = 0));
  await expect.poll(() => articles.count()).toBeGreaterThan(40);
  expect(await on.here.page.locator(".box").evaluate((box) => box.scrollTop)).toBeGreaterThan(0);
  const first = async () => Number(await articles.first().getAttribute("data-node"));
  const turn = async (pixels: number) => {
    await on.here.page.mouse.wheel(0, pixels);
    await on.here.page.evaluate(() => new Promise(requestAnimationFrame));
  };
  await articles.first().hover();
  while ((await first()) > 700) await turn(-3000);
  expect(await articles.count()).toBeLessThan(130);
  expect(await on.here.page.locator('article[data-node="1000"]').count()).toBe(0);
  const back = await first();
  while ((await first()) < back + 60) await turn(3000);
  expect(await articles.count()).toBeLessThan(130);
  await on.here.page.getByRole("button", { name: "Latest" }).click();
  await on.here.page.locator('article[data-node="1000"]').waitFor();
  expect(await articles.count()).toBeLessThan(40);
  await on.here.page.goto(`${on.server.url}/#/c/${id}?node=11`);
  await on.here.page.reload();
  await on.here.page.locator('article[data-node="11"]:focus').waitFor();
});

test("a screen reader hears sentences, once each", async () => {
  on.server.chats.script = () => "One is *one*. Two is two. And three";
  await on.here.page.goto(`${on.server.url}/#/c/${on.chat(["Hello", "Good day"])}`);
  await on.here.page.reload(); // what was there before is not news
  await on.here.answers.waitFor();
  const said: string[] = [];
  await on.here.page.exposeFunction("hear", (text: string) => said.push(text));
  await on.here.page.evaluate(() => {
    const log = document.querySelector('[role="log"]')!;
    const seen = new Set<Node>();
    const look = () => log.querySelectorAll("p").forEach((p) => !seen.has(p) && (seen.add(p), (window as any).hear(p.textContent)));
    new MutationObserver(look).observe(log, { childList: true });
  });
  await on.here.say("Count");
  await expect.poll(() => said).toContain("The answer is complete.");
  // Those that end between two frames are one piece.
  expect(said.join(" ")).toBe("An answer is being written. One is one. Two is two. And three The answer is complete.");
});

test("an answer that is whole before its chat is shown is heard, too; one from before is not", async () => {
  on.server.chats.script = () => "Soon done.";
  await on.here.say("Count");
  await on.here.page.locator('[role="log"] p', { hasText: "The answer is complete." }).waitFor({ state: "attached" });
  await on.here.page.reload();
  await on.here.page.getByText("Soon done.").first().waitFor();
  expect(await on.here.page.locator('[role="log"] p').count()).toBe(0);
});
