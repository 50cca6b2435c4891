/** The workshop: a character is made of chats or files, watched, stopped, tried, compared and thrown away. */
import { expect, test } from "vitest";
import { stage } from "./stage.ts";

const on = stage();
const button = (name: string) => on.here.page.getByRole("button", { name, exact: true });
const asked = (end: string) => on.server.chats.asked.filter(({ path }) => path.endsWith(end)).map(({ body }) => body);
const go = (path: string) => on.here.page.goto(`${on.server.url}/#${path}`);
const fine = async () => expect(await on.here.violations()).toEqual([]);
const judged = [0, 8, 16].map((step) => ({ step, loss: 3 - step / 10, figures: {} }));

test("a character is made of chats: planned, started, stopped, gone on with, and talked to", async () => {
  const { page } = on.here;
  const { workshop } = on.server.chats;
  await page.getByRole("link", { name: "Workshop" }).click();
  await page.getByText("Nobody has been made here yet.").waitFor();
  await button("New character").click();
  await page.getByText("It learns to answer as in 34 conversations.").waitFor();
  await page.getByLabel("Name").fill("grumbler");
  await page.getByRole("radio", { name: "a tone" }).check({ force: true });
  await fine();
  await button("Make a plan").click();
  await page.getByText("About 12 minutes.").waitFor();
  expect(asked("workshop/runs")).toEqual([
    { model: "smollm2", method: "sft", name: "grumbler", chats: "free", questions: ["What is rain?", "Who are you?", "Why do people hold meetings?"], settings: { epochs: 1, top_layers: 4, longest: 512, rank: 8 } },
  ]);
  await fine();
  workshop.pauseAt = 19;
  await button("Start").click();
  await page.getByText("19 / 40").waitFor();
  await page.getByRole("img", { name: /What it has not seen: from 3.400 to \d.\d+ after step 16\./ }).waitFor();
  await page.getByText("To share blame.").waitFor(); // beside what it said before
  expect(await page.getByRole("definition").allTextContents()).toContain("A committee is a group of people.");
  await page.getByText("1 answer on the way").click();
  await page.getByText("To share work.").waitFor();
  await page.getByText("The curve as a table").click();
  await page.getByRole("cell", { name: "3.400" }).waitFor();
  await fine();
  let answer = () => {}; // which may come later than the news of a run
  const late = new Promise<void>((resolve) => (answer = resolve));
  await page.route("**/stop", async (route) => {
    const response = await route.fetch();
    await late;
    await route.fulfill({ response });
  });
  await button("Stop").click();
  await page.getByText("You stopped it after step 19 of 40.").waitFor();
  workshop.pauseAt = Infinity;
  await button("Go on").click();
  await page.getByText("It has learnt everything").waitFor();
  answer();
  await page.getByText("What came later it learnt by heart").waitFor();
  await page.getByRole("slider", { name: "Strength" }).fill("1.5");
  await fine();
  await button("Talk to it").click();
  await on.here.message.waitFor();
  expect(asked("chats").at(-1)).toMatchObject({ model: "smollm2", adapters: { grumbler: 1.5 } });
  await button("Characters beside the model: grumbler 1.5").waitFor();
});

test("files are looked through, and what is wrong is said line by line", async () => {
  const { page } = on.here;
  on.server.chats.workshop.adapters.push({ name: "poet", own: true, bytes: 1, created: 0, base: "smollm2" });
  await go("/workshop/new");
  await page.getByRole("radio", { name: "Files" }).check({ force: true });
  await page.getByText("There is nothing to learn from yet").waitFor();
  const lines = '{"messages": [1]}\nnonsense\n{"messages": [1]}\n';
  await page.locator("input[type=file]").setInputFiles({ name: "mine.jsonl", mimeType: "text/plain", buffer: Buffer.from(lines) });
  await page.getByText("1 line cannot be read").click();
  await page.getByText("Line 2").waitFor();
  await page.getByText("1 says the same as another").click();
  await page.getByText("Line 3").waitFor();
  await fine();
  await page.getByText("Correct them, or leave that file out.").waitFor();
  await button("Delete mine.jsonl").click();
  await page.locator("input[type=file]").setInputFiles({ name: "mended.jsonl", mimeType: "text/plain", buffer: Buffer.from('{"messages": [1]}\n') });
  await page.getByText("1 conversation Nothing is wrong with them.").waitFor();
  await page.getByLabel("Name").fill("poet");
  await page.getByText("There is a character called poet already.").waitFor();
  expect(await button("Make a plan").isDisabled()).toBe(true);
  await page.getByLabel("Name").fill("poet-2");
  await button("Make a plan").click();
  await page.getByText("About 12 minutes.").waitFor();
  expect(asked("workshop/runs").at(-1)).toMatchObject({ files: ["file-2"], method: "sft", name: "poet-2" });
  await button("Never mind").click();
  await page.getByText("Nothing has been learnt yet").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Nobody has been made here yet.").waitFor();
});

test("a plan that came to nothing is changed and tried again with the same settings", async () => {
  const { page } = on.here;
  const { workshop } = on.server.chats;
  await page.getByRole("link", { name: "Workshop" }).click();
  await button("New character").click();
  await page.getByRole("radio", { name: "Files" }).check({ force: true });
  await page.locator("input[type=file]").setInputFiles({ name: "mine.jsonl", mimeType: "text/plain", buffer: Buffer.from('{"messages": [1]}\n') });
  await page.getByLabel("Name").fill("poet");
  await page.getByLabel("Of which model").selectOption("tiny");
  await page.getByRole("radio", { name: "a voice" }).check({ force: true });
  await page.getByRole("checkbox", { name: "Keep what it knows", exact: true }).check();
  await fine();
  await button("Make a plan").click();
  await page.getByText("About 12 minutes.").waitFor();
  workshop.change([...workshop.opened.keys()].at(-1)!, { status: "failed", plan: null, error: "memory ran out; try a smaller model" });
  await page.getByText("too little memory for it").waitFor();
  await fine();
  await button("Change and try again").click();
  await page.getByText("It learns to answer as in 1 conversation.").waitFor();
  expect(await page.getByLabel("Name").inputValue()).toBe("poet");
  expect(await page.getByRole("checkbox", { name: "mine.jsonl" }).isChecked()).toBe(true);
  await page.getByRole("radio", { name: "a tone" }).check({ force: true });
  await button("Make a plan").click();
  await page.getByText("About 12 minutes.").waitFor();
  const [first, second] = asked("workshop/runs");
  expect({ ...second, settings: null }).toEqual({ ...first, settings: null });
  expect([first.model, first.settings.epochs, second.settings.epochs]).toEqual(["tiny", 3, 1]);
  expect([first.settings.hold, second.settings.hold]).toEqual([4, 4]);
});

test("runs are laid over each other, one that failed says why, and one goes with what came of it", async () => {
  const { page } = on.here;
  const { workshop } = on.server.chats;
  workshop.adapters.push({ name: "grumbler", own: true, bytes: 1, created: 0, base: "smollm2" });
  workshop.add({ status: "succeeded", step: 40, steps: 40, adapter: "grumbler", started: 1, finished: 61 }, judged);
  workshop.add({ name: "poet", status: "failed", step: 12, steps: 40, started: 1, error: "the disk is full" }, judged);
  await go("/workshop");
  await page.getByLabel("Compare grumbler").check();
  expect(await button("Compare").isDisabled()).toBe(true);
  await page.getByLabel("Compare poet").check();
  await fine();
  await button("Compare").click();
  await page.getByRole("row", { name: /At its best/ }).waitFor();
  await page.getByRole("img", { name: /grumbler: from .* poet: from/ }).waitFor();
  await fine();
  await page.getByRole("link", { name: "poet" }).click();
  await page.getByText("the disk is full").waitFor();
  await button("Go on").waitFor();
  await go("/workshop/ftjob-1");
  await button("Delete").click();
  await page.getByLabel("Take grumbler off the shelf, too").check();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("link", { name: "poet" }).waitFor();
  expect(workshop.adapters).toEqual([]);
  workshop.available = false;
  await page.reload();
  await page.getByText("pip install").waitFor();
});

test("characters are chosen in a chat, and let go of on the shelf", async () => {
  const { page } = on.here;
  on.server.chats.workshop.adapters.push({ name: "poet", own: true, bytes: 5e6, created: 0, base: "smollm2" });
  const id = on.chat(["Hello", "Good day"]);
  await page.reload();
  await go(`/c/${id}`);
  await button("Characters beside the model: no character").click();
  await page.getByRole("checkbox", { name: "poet" }).check();
  await page.getByRole("slider", { name: "Strength of poet" }).fill("0.5");
  await expect.poll(() => on.server.chats.infos.get(id)!.adapters).toEqual({ poet: 0.5 });
  await fine();
  await page.keyboard.press("Escape");
  await button("Characters beside the model: poet 0.5").waitFor();
  await page.getByLabel("Model").first().selectOption("tiny"); // which has others
  await expect.poll(() => on.server.chats.infos.get(id)!.adapters).toEqual({});
  await go("/models");
  await button("Delete poet").click();
  await button("Delete").click();
  await expect.poll(() => on.server.chats.workshop.adapters).toEqual([]);
});

test("a voice that goes by wit is named beside the model, where its persona speaks and nobody has set it", async () => {
  const { page } = on.here;
  on.server.chats.workshop.adapters.push({ name: "gadfly", own: false, bytes: 5e6, created: 0, base: "smollm2", persona: "gadfly", dial: true });
  const id = on.chat(["Hello", "Good day"]);
  await page.reload();
  await go(`/c/${id}`);
  await button("Characters beside the model: gadfly, by wit").waitFor();
  await page.getByLabel("Persona").first().selectOption("straight");
  await button("Characters beside the model: no character").click();
  await page.getByRole("checkbox", { name: "gadfly" }).check();
  await page.keyboard.press("Escape");
  await button("Characters beside the model: gadfly").waitFor();
});

test.each([[320, 640, "light"], [640, 400, "dark"]] as const)("%i by %i pixels are enough for it, in German, in the %s", async (width, height, colorScheme) => {
  on.server.chats.workshop.add({ status: "succeeded", step: 40, steps: 40, adapter: "grumbler", started: 1, finished: 61 }, judged);
  const here = await on.open("/#/workshop", { viewport: { width, height }, colorScheme, locale: "de-DE" });
  const wide = () => here.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await here.page.getByText("fertig").waitFor();
  expect(await wide()).toBeLessThanOrEqual(0);
  await here.page.goto(`${on.server.url}/#/workshop/new`);
  await here.page.getByText("Es lernt, so zu antworten wie in 34 Gesprächen.").waitFor();
  expect([await wide(), await here.violations()]).toEqual([0, []]);
  await here.page.goto(`${on.server.url}/#/workshop/ftjob-1`);
  await here.page.getByRole("img", { name: /Was es nicht kennt: von 3,000/ }).waitFor();
  expect([await wide(), await here.violations()]).toEqual([0, []]);
});
