import { expect, test } from "vitest";
import { stage } from "./stage.ts";

const on = stage();
const asked = (end: string) => on.server.chats.asked.filter(({ path }) => path.endsWith(end)).map(({ body }) => body);

async function talk(): Promise<void> {
  const id = on.chat(["Hello", "Good day to you, reader"]);
  await on.here.page.goto(`${on.server.url}/#/c/${id}`);
  await on.here.answers.waitFor();
}

test("looking inside an answer shows other words, and one of them begins a branch", async () => {
  await talk();
  await on.here.answers.getByLabel("Look inside").click();
  await on.here.page.locator(".words button", { hasText: "day" }).click();
  await on.here.page.getByRole("button", { name: "Branch from it: other" }).click();
  await on.here.page.getByRole("img", { name: "Branch 2 of 2" }).waitFor();
  expect(asked("/answers").at(-1)).toMatchObject({ prefix: "Good other", variants: [{ model: "smollm2" }] });
});

test("an answer is judged with a thumb, reasons and what would have been right", async () => {
  await talk();
  await on.here.answers.getByLabel("Bad answer").click();
  await on.here.page.getByLabel("dull").check();
  await on.here.page.getByLabel("What it should have said").fill("Hello yourself");
  await on.here.page.getByRole("button", { name: "Keep" }).click();
  await expect.poll(() => asked("/feedback").at(-1)).toEqual({ thumb: -1, reasons: ["dull"], corrected: "Hello yourself" });
});

test("a thumb alone is among the opinions, is taken back and given again", async () => {
  await talk();
  await on.here.answers.getByLabel("Good answer").click();
  await on.here.page.getByRole("link", { name: "Feedback" }).click();
  await on.here.page.getByRole("main").getByText("Good day to you, reader").waitFor();
  expect(await on.here.violations()).toEqual([]);
  await on.here.page.getByRole("button", { name: "Take the thumb back" }).click();
  await on.here.page.getByRole("button", { name: "Undo" }).click();
  await expect.poll(() => asked("/feedback").map(({ thumb }) => thumb)).toEqual([1, 0, 1]);
  await on.here.page.getByRole("main").getByText("Good day to you, reader").waitFor();
});

test("two positions of the dial answer one question, blind, and the vote is kept", async () => {
  await talk();
  await on.here.page.keyboard.press("Alt+v");
  const dials = on.here.page.getByRole("dialog").getByRole("slider");
  await dials.nth(0).fill("0.1");
  await dials.nth(1).fill("0.9");
  await on.here.page.getByRole("button", { name: "Ask both" }).click();
  const better = on.here.page.getByRole("button", { name: "This one is better" });
  await expect.poll(() => better.nth(1).isEnabled()).toBe(true);
  await on.here.page.reload(); // it is still blind
  await better.nth(1).waitFor();
  expect(await on.here.page.locator(".comparison").innerText()).not.toContain("SmolLM2");
  await better.nth(1).click();
  await on.here.page.getByText("SmolLM2 360M · gadfly · Wit").first().waitFor();
  expect(asked("/answers").at(-1).variants.map(({ wit }: { wit: number }) => wit)).toEqual([0.1, 0.9]);
  expect(asked("/votes").at(-1)).toMatchObject({ blind: true });
  await on.here.page.getByRole("button", { name: "Go on from here" }).nth(1).click();
  await on.here.page.getByRole("img", { name: /of 3/ }).waitFor();
});

test("the tree of branches can be named, starred, pruned and walked", async () => {
  await talk();
  await on.here.answers.getByLabel("Answer again").click();
  await on.here.page.getByRole("img", { name: "Branch 2 of 2" }).waitFor();
  await on.here.page.keyboard.press("Alt+t");
  const rows = on.here.page.getByRole("dialog").locator("li");
  await expect.poll(() => rows.count()).toBe(3);
  await rows.nth(1).getByLabel("Name this branch").click();
  await on.here.page.getByRole("textbox", { name: "Name this branch" }).fill("polite");
  await on.here.page.keyboard.press("Enter");
  await rows.nth(1).getByText("polite").waitFor();
  await rows.nth(1).getByLabel("Favourite").click();
  await rows.nth(2).getByLabel("Prune this branch").click();
  await expect.poll(() => rows.count()).toBe(2);
  await on.here.page.getByLabel("Show pruned branches").check();
  await rows.nth(2).getByLabel("Bring this branch back").click();
  await rows.nth(1).getByRole("button").first().click();
  await on.here.answers.getByText("Good day to you").waitFor();
  const polite = [...on.server.chats.nodes.values()].flat().find(({ name }) => name === "polite");
  expect(polite).toMatchObject({ favourite: true, pruned: false });
});

test("files are attached by choice or by dropping, and what does not fit is said before it is sent", async () => {
  await talk();
  await on.here.page.locator("input[type=file]").setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("x".repeat(300)) });
  await on.here.page.getByText("notes.txt").waitFor();
  await on.here.page.getByText("300 characters").waitFor();
  await on.here.message.fill("y".repeat(120));
  await on.here.page.getByText("2 old messages fall off").waitFor();
  await on.here.page.keyboard.press("Enter");
  await expect.poll(() => asked("/messages").at(-1)?.attachments).toEqual(["h300"]);
});

test("the dial turns live, with keys too", async () => {
  await talk();
  const dial = on.here.page.getByRole("slider", { name: "Wit" });
  await dial.fill("0.9");
  await expect.poll(() => [...on.server.chats.infos.values()].at(-1)!.wit).toBe(0.9);
  await on.here.page.getByText("stinging").waitFor();
  await on.here.page.keyboard.press("Alt+Comma");
  await expect.poll(() => [...on.server.chats.infos.values()].at(-1)!.wit).toBeCloseTo(0.8);
});

test("better questions are offered on demand and taken into the message", async () => {
  await talk();
  await on.here.page.getByRole("button", { name: "Better questions" }).click();
  await on.here.page.getByRole("button", { name: "How do you know?" }).click();
  expect(await on.here.message.inputValue()).toBe("How do you know?");
});

test("a tool is called when the reader consents, who sees with what", async () => {
  await talk();
  const [id] = [...on.server.chats.infos.keys()].slice(-1);
  const call = { id: "c1", server: "web", tool: "search", title: "Search", arguments: { query: "gadflies" }, description: "Looks it up." };
  on.server.chats.tell(id!, "consent", { node: 2, call });
  const question = on.here.page.getByRole("alert");
  await question.getByText("May Search of web be used?").waitFor();
  expect(await question.innerText()).toContain("gadflies");
  await question.getByRole("button", { name: "In this chat" }).click();
  await expect.poll(() => asked("/consent").at(-1)).toEqual({ call: "c1", allow: "chat" });
  await expect.poll(() => question.count()).toBe(0);
});

test("the keyboard is enough: from message to message, to a branch, and to the list of keys", async () => {
  await talk();
  await on.here.page.keyboard.press("Alt+m");
  const focused = () => on.here.page.evaluate(() => (document.activeElement as HTMLElement).dataset.node);
  expect(await focused()).toBe("2");
  await on.here.page.keyboard.press("ArrowUp");
  expect(await focused()).toBe("1");
  await on.here.page.keyboard.press("ArrowDown");
  await on.here.page.keyboard.press("r");
  await on.here.page.getByRole("img", { name: "Branch 2 of 2" }).waitFor();
  await expect.poll(focused).toBe("3");
  await on.here.page.keyboard.press("ArrowLeft");
  await on.here.answers.getByText("Good day to you").waitFor();
  await expect.poll(focused).toBe("2");
  await on.here.page.keyboard.press("c");
  await expect.poll(() => on.here.page.evaluate(() => navigator.clipboard.readText())).toBe("Good day to you, reader");
  await on.here.answers.getByRole("button", { name: "Next branch" }).focus();
  await on.here.page.keyboard.press("Enter");
  await expect.poll(focused).toBe("3"); // there is none after it
  await on.here.page.keyboard.press("r");
  await on.here.page.getByRole("img", { name: "Branch 3 of 3" }).waitFor();
  await on.here.answers.getByRole("button", { name: "Previous branch" }).focus();
  await on.here.page.keyboard.press("Enter");
  await on.here.page.getByRole("img", { name: "Branch 2 of 3" }).waitFor();
  await expect.poll(() => on.here.page.evaluate(() => document.activeElement!.ariaLabel)).toBe("Previous branch");
  await on.here.page.keyboard.press("Control+/");
  await on.here.page.getByRole("dialog").getByText("Keyboard shortcuts").waitFor();
});
