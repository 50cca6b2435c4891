/** A browser for tests: Debian's chromium, which tells of everything that was asked for, and of every error. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";
import { expect } from "vitest";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export class Visit {
  /** Requests that left for anywhere but the server. */
  readonly strays: string[] = [];
  /** Errors of scripts, breaches of the policy, dialogs, what was written to the console as an error. */
  readonly errors: string[] = [];

  constructor(
    readonly page: Page,
    readonly url: string,
  ) {
    page.on("request", (request) => request.url().startsWith(url) || this.strays.push(request.url()));
    page.on("pageerror", (error) => this.errors.push(String(error)));
    page.on("console", (message) => message.type() === "error" && this.errors.push(message.text()));
    page.on("dialog", (dialog) => (this.errors.push(`dialog: ${dialog.message()}`), void dialog.dismiss()));
  }

  get message() {
    return this.page.locator("#message");
  }

  get answers() {
    return this.page.locator("article.assistant");
  }

  /** Types a message and sends it. */
  async say(text: string): Promise<void> {
    await this.message.fill(text);
    await this.message.press("Enter");
  }

  /** What axe finds wrong with what is seen now. */
  async violations(): Promise<string[]> {
    await this.page.evaluate(axe);
    return this.page.evaluate(async () => {
      const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
      // Words of an answer are targets in a sentence, as WCAG 2.5.8 allows, though every one of them is.
      (window as any).axe.configure({ rules: [{ id: "target-size", selector: "*:not(.words button)" }] });
      const { violations } = await (window as any).axe.run(document, { runOnly: tags });
      return violations.map((one: any) => `${one.id}: ${one.nodes.map((node: any) => node.html.slice(0, 160)).join(" | ")}`);
    });
  }

  /** Nothing went wrong, and nothing left the machine. */
  async end(): Promise<void> {
    await this.page.context().close();
    expect(this.errors).toEqual([]);
    expect(this.strays).toEqual([]);
  }
}

export async function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
}

export async function visit(browser: Browser, url: string, path = "/", options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ locale: "en-GB", permissions: ["clipboard-read", "clipboard-write"], ...options });
  context.setDefaultTimeout(60_000);
  const here = new Visit(await context.newPage(), url);
  await here.page.goto(url + path);
  return here;
}
