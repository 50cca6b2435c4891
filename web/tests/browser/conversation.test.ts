import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { mock, type Mock } from "../mock/server.ts";
import { folder } from "./build.ts";
import { launch, visit, type Visit } from "./browser.ts";

let browser: Browser;
let server: Mock;
let here: Visit;

beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());
beforeEach(async () => {
  server = await mock(folder);
  here = await visit(browser, server.url);
});
afterEach(async () => {
  expect(here.errors).toEqual([]);
  expect(here.strays).toEqual([]);
  await here.page.context().close();
  await server.close();
});

const answers = () => here.page.locator("article.assistant");

test("a question typed on the first page becomes a chat that is answered", async () => {
  await here.page.getByLabel("Message", { exact: true }).fill("Hello there");
  await here.page.keyboard.press("Enter");
  await here.page.waitForURL(/#\/c\//);
  await answers().getByText("You said: Hello there").waitFor();
  expect(await here.page.getByLabel("Message", { exact: true }).inputValue()).toBe("");
});
