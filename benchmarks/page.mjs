// One round of page.py: node page.mjs URL CHAT CHROMIUM prints rows of {of, unit, value}.
import { createRequire } from "node:module";

const { chromium } = createRequire(new URL("../web/package.json", import.meta.url))("playwright-core");
const [url, chat, executablePath] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const rows = [];
const add = (of, unit, value) => rows.push({ of, unit, value });

/** A page of a browser that has nothing yet, which notes when one can type and when there are messages. */
async function open(path) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.addInitScript(() => {
    window.seen = {};
    const look = () => {
      for (const [name, what] of [["type", "#message"], ["message", "article .block"]]) {
        if (document.querySelector(what)) window.seen[name] ??= performance.now();
      }
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await page.goto(url + path);
  await page.waitForFunction((last) => window.seen[last], path === "/" ? "type" : "message");
  await page.waitForLoadState("networkidle").catch(() => {}); // never, where events are listened to
  return page;
}

const first = await open("/");
add("first load: until one can type", "ms", await first.evaluate(() => window.seen.type));
const weight = await first.evaluate(() =>
  ["navigation", "resource"]
    .flatMap((kind) => performance.getEntriesByType(kind))
    .filter(({ name }) => !name.includes("/app/api/"))
    .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
);
add("first load: compressed", "MB", weight / 1e6);
await first.context().close();

const page = await open(`/#/c/${chat}`);
add("long chat: until a message is there", "ms", await page.evaluate(() => window.seen.message));

/** Milliseconds between frames from `act` to the end of the answer. */
async function streaming(of, act = () => {}) {
  await page.evaluate(() => {
    window.frames_ = [];
    let last = performance.now();
    const look = (now) => {
      window.frames_.push(now - last);
      last = now;
      window.looking = requestAnimationFrame(look);
    };
    window.looking = requestAnimationFrame(look);
  });
  await page.locator("#message").fill("Go on.");
  await page.locator("#message").press("Enter");
  await page.locator("article:last-child [aria-busy=true] .block").first().waitFor({ state: "attached" });
  await page.evaluate(() => (window.frames_ = []));
  await act();
  await page.locator("[aria-busy=true]").waitFor({ state: "detached", timeout: 120_000 });
  const frames = (await page.evaluate(() => (cancelAnimationFrame(window.looking), window.frames_))).sort((a, b) => a - b);
  const at = (share) => frames[Math.min(frames.length - 1, Math.floor(share * frames.length))];
  add(`${of}: a frame, median`, "ms", at(0.5));
  add(`${of}: a frame, 95 %`, "ms", at(0.95));
  add(`${of}: a frame, 99 %`, "ms", at(0.99));
}

/** Turns the wheel back, so many pixels at a time, until the first message is there or so many milliseconds have passed. */
async function back(pixels, time = Infinity) {
  const end = performance.now() + time;
  await page.locator("article").last().hover();
  for (let there = false; !there && performance.now() < end; ) {
    await page.mouse.wheel(0, -pixels);
    await new Promise((done) => setTimeout(done, 16));
    there = await page.evaluate(() => !document.querySelector(".sentinel") && document.querySelector("article").closest(".box").scrollTop === 0);
  }
}

await streaming("streaming below the last messages");
await back(4000, 20_000);
await page.locator(".latest").click();
await streaming("streaming after its reader has been back");
await streaming("streaming while its reader scrolls back", () => back(60, 5000));
await browser.close();
console.log(JSON.stringify(rows));
