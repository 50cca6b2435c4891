/** A browser for tests: Debian's chromium, which tells of everything that was asked for, and of every error. */
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";

export interface Visit {
  page: Page;
  /** Requests that left for anywhere but the server. */
  strays: string[];
  /** Errors of scripts, breaches of the policy, what was written to the console as an error. */
  errors: string[];
}

export async function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
}

export async function visit(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ locale: "en-GB", ...options });
  const page = await context.newPage();
  const strays: string[] = [];
  const errors: string[] = [];
  page.on("request", (request) => !request.url().startsWith(url) && strays.push(request.url()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("dialog", (dialog) => (errors.push(`dialog: ${dialog.message()}`), void dialog.dismiss()));
  await page.goto(url);
  return { page, strays, errors };
}
