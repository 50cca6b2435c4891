/** For everybody: axe finds nothing, it fits every screen, and German is German. */
import { expect, test } from "vitest";
import { stage } from "./stage.ts";

const on = stage();
const markdown = "A *word*.\n\n```py\nx = 1  # note\n```\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\n$x^2$ [link](https://example.org)";

for (const colorScheme of ["light", "dark"] as const) {
  test(`axe finds nothing wrong in the ${colorScheme}`, async () => {
    const id = on.chat(["Hello", markdown]);
    const here = await on.open("/", { colorScheme });
    await here.message.waitFor();
    expect(await here.violations()).toEqual([]);
    await here.page.goto(`${on.server.url}/#/c/${id}`);
    await here.page.locator(".katex").waitFor();
    await here.page.locator(".hljs-comment").waitFor();
    expect(await here.violations()).toEqual([]);
    await here.answers.getByLabel("Good answer").click();
    await here.answers.getByLabel("Answer again").click();
    await here.page.getByRole("img", { name: "Branch 2 of 2" }).waitFor();
    expect(await here.violations()).toEqual([]);
    await here.answers.getByLabel("Look inside").click();
    for (const tab of ["Exact prompt", "Numbers", "Words"]) {
      await here.page.getByRole("tab", { name: tab }).click();
      expect(await here.violations()).toEqual([]);
    }
    await here.page.locator(".words button").nth(1).click();
    expect(await here.violations()).toEqual([]);
    await here.answers.getByLabel("More").click();
    expect(await here.violations()).toEqual([]);
    await here.page.keyboard.press("Escape");
    for (const keys of ["Alt+t", "Alt+v", "Control+/"]) {
      await here.page.keyboard.press(keys);
      await here.page.getByRole("dialog").waitFor();
      expect(await here.violations()).toEqual([]);
      await here.page.keyboard.press("Escape");
      await here.page.getByRole("dialog").waitFor({ state: "detached" });
    }
  });
}

// 640 pixels are 1280 at 200 %, 320 are 1280 at 400 %.
test.each([[320, 640], [390, 844], [640, 400], [1280, 800], [2200, 1200]])("%i by %i pixels are enough, and nothing is cut off", async (width, height) => {
  const id = on.chat(["Hello " + "long".repeat(60), `${markdown}\n\n${"wide".repeat(80)}`]);
  const here = await on.open(`/#/c/${id}`, { viewport: { width, height } });
  await here.answers.waitFor();
  const wide = () => here.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(await wide()).toBeLessThanOrEqual(0);
  const [box, edge] = await Promise.all([here.page.locator(".go").boundingBox(), here.page.viewportSize()]);
  expect(box!.x + box!.width).toBeLessThanOrEqual(edge!.width);
  expect(box!.y + box!.height).toBeLessThanOrEqual(edge!.height);
  const thread = await here.page.locator(".box").boundingBox();
  expect(thread!.height).toBeGreaterThan(100);
  await here.page.goto(`${on.server.url}/#/`);
  await here.message.waitFor();
  expect(await wide()).toBeLessThanOrEqual(0);
  await here.message.fill("Hello");
  await here.page.locator(".go").click();
  await here.answers.getByText("You said: Hello").waitFor();
});

test("German speaks German, from the browser's languages or by choice", async () => {
  const here = await on.open("/", { locale: "de-AT" });
  await here.page.getByText("Was nehmen wir auseinander?").waitFor();
  expect(await here.page.locator("html").getAttribute("lang")).toBe("de");
  await here.page.getByRole("link", { name: "Einstellungen" }).click();
  await here.page.getByLabel("Sprache").selectOption("en");
  await here.page.getByRole("heading", { name: "Settings" }).waitFor();
  await here.page.getByRole("link", { name: "New chat" }).click();
  await here.page.reload();
  await here.page.getByText("What shall we take apart?").waitFor();
});

test("on a phone the chats are in a drawer", async () => {
  on.chat(["Hello", "Good day"]);
  const here = await on.open("/", { viewport: { width: 390, height: 844 } });
  const link = here.page.getByRole("link", { name: "Hello" });
  await here.message.waitFor();
  expect(await link.isVisible()).toBe(false);
  await here.page.getByRole("button", { name: "Show or hide the chats" }).click();
  await link.click();
  await here.answers.getByText("Good day").waitFor();
  await expect.poll(() => link.isVisible()).toBe(false);
});
