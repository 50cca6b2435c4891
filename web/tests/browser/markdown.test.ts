import { expect, test } from "vitest";
import { stage } from "./stage.ts";

const on = stage();

async function show(markdown: string): Promise<string> {
  const id = on.chat(["Show", markdown]);
  await on.here.page.goto(`${on.server.url}/#/c/${id}`);
  await on.here.page.locator(".markdown .block").first().waitFor();
  return id;
}

test("code is coloured once its language is here, and copied as it was written", async () => {
  await show("```py\ndef f(x):\n    return '<b>'\n```");
  await on.here.page.locator(".hljs-keyword", { hasText: "def" }).waitFor();
  await on.here.page.locator(".code .copy").click();
  await on.here.page.getByText("Copied").waitFor();
  expect(await on.here.page.evaluate(() => navigator.clipboard.readText())).toBe("def f(x):\n    return '<b>'\n");
});

test("formulas are set, money is not, and columns keep their side", async () => {
  await show("It costs $5 or $6, and $e^{i\\pi}$, and \\(x_1\\).\n\n$$\\int_0^1 x\\,dx$$\n\n| a | b |\n|--|--:|\n| 1 | 2 |");
  await expect.poll(() => on.here.page.locator(".katex").count()).toBe(3);
  expect(await on.here.page.locator(".markdown p").first().innerText()).toContain("$5 or $6");
  expect(await on.here.page.locator("td").nth(1).evaluate((cell) => getComputedStyle(cell).textAlign)).toBe("end");
});

test("what grows word by word ends up as what is read at once", async () => {
  const text = "# Title\n\nA [link][1] and *more*:\n\n- one\n- two\n\n  still two\n\n```js\nlet a = 1;\n\nlet b = 2;\n```\n\n> quoted\n> text\n\n[1]: https://example.org";
  on.server.chats.script = () => text;
  await on.here.page.goto(on.server.url);
  await on.here.say("Stream");
  await on.here.page.locator(".markdown a").waitFor();
  await expect.poll(() => on.here.page.locator(".hljs-keyword").count()).toBe(2);
  const html = () => on.here.page.locator(".markdown").last().innerHTML();
  const streamed = await html();
  await on.here.page.reload();
  await expect.poll(() => on.here.page.locator(".hljs-keyword").count()).toBe(2);
  expect(await html()).toBe(streamed);
});

const hostile = [
  "<script>window.hit=1</script>",
  "<img src=x onerror=window.hit=1>",
  '<svg/onload="window.hit=1">',
  "<iframe srcdoc='<script>parent.hit=1</script>'></iframe>",
  "[click](javascript:window.hit=1)",
  "[click](JaVaScRiPt:window.hit=1)",
  "[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
  "[click](vbscript:msgbox(1))",
  "![x](https://evil.example/pixel.png)",
  "![x](x \"onerror=window.hit=1\")",
  '![x](https://evil.example/"onerror="window.hit=1)',
  "[x]: https://evil.example/a.png\n\n![tracked][x]",
  "<https://evil.example/\"onmouseover=window.hit=1>",
  "```\"><img src=x onerror=window.hit=1>\ncode\n```",
  "```html\n<script>window.hit=1</script>\n<img src=x onerror=window.hit=1>\n```",
  "`<img src=x onerror=window.hit=1>`",
  "$\\href{javascript:window.hit=1}{x}$ $\\url{javascript:window.hit=1}$ $\\includegraphics{https://evil.example/x.png}$",
  "$\\htmlData{x=1}{y} \\htmlStyle{background:url(https://evil.example)}{y}$",
  "$<img src=x onerror=window.hit=1>$",
  "$\\def\\a{\\a\\a}\\a$",
  "<style>@import 'https://evil.example/x.css';</style>",
  "<link rel=stylesheet href=https://evil.example/x.css>",
  "<meta http-equiv=refresh content='0;url=https://evil.example'>",
  "<form action=https://evil.example><button>go</button></form>",
  "<math><mtext><table><mglyph><style><!--</style><img title='--><img src=x onerror=window.hit=1>'>",
  "<a href='https://evil.example' ping='https://evil.example'>x</a>",
  "&lt;img src=x onerror=window.hit=1&gt; &#60;script&#62;window.hit=1&#60;/script&#62;",
  "| <img src=x onerror=window.hit=1> |\n|--|\n| [x](javascript:window.hit=1) |",
  "{@html '<img src=x onerror=window.hit=1>'} {{constructor.constructor('window.hit=1')()}}",
];

test("nothing that is written executes or is fetched, as answer, question, title, name or file", async () => {
  const id = await show(hostile.join("\n\n"));
  const { chats } = on.server;
  for (const text of hostile) {
    const question = chats.add(id, { parent: chats.infos.get(id)!.leaf, content: text, attachments: [{ hash: text, name: text, type: text, bytes: 1 }] });
    chats.add(id, { parent: question.id, role: "assistant", content: text, reasoning: text, model: text, name: text, tool_calls: [{ id: text, name: text, arguments: text }] });
  }
  chats.infos.get(id)!.title = hostile.join(" ");
  const failed = chats.add(id, { parent: chats.infos.get(id)!.leaf, role: "assistant", state: "failed", error: hostile.join(" ") });
  await on.here.page.reload();
  await on.here.page.locator(`article[data-node="${failed.id}"]`).waitFor();
  await on.here.page.locator(".katex, .math[title]").first().waitFor();
  await on.here.page.locator(".box").evaluate((box) => (box.scrollTop = 0));
  await on.here.page.keyboard.press("Alt+t");
  await on.here.page.getByRole("dialog").waitFor();
  await on.here.page.keyboard.press("Escape");
  expect(await on.here.page.evaluate(() => (window as any).hit)).toBeUndefined();
  const found = await on.here.page.evaluate(() => ({
    elements: document.querySelectorAll("article :is(script, iframe, img, object, embed, link, meta, style, form, base)").length,
    links: [...document.querySelectorAll<HTMLAnchorElement>("article a[href]")].map(({ protocol }) => protocol),
    handlers: [...document.querySelectorAll("article *")].flatMap((element) => element.getAttributeNames()).filter((name) => name.startsWith("on")),
  }));
  expect(found.elements).toBe(0);
  expect(found.handlers).toEqual([]);
  expect(new Set(found.links)).toEqual(new Set(["https:"]));
});
