// What the scripts that ask through a client for JavaScript have in common: asking.py, in their language.

export const FRANCE = "What is the capital of France?";
export const STORY = "Tell me a very long story about a gadfly.";
export const ENDLESS = { 0: -100, 2: -100 };
export const LONG = "word ".repeat(6000);
const closed = { type: "object", additionalProperties: false };
export const WEATHER = { ...closed, properties: { city: { type: "string", maxLength: 20 } }, required: ["city"] };
export const COLOUR = { ...closed, properties: { colour: { enum: ["red", "green", "blue"] } }, required: ["colour"] };

export function ask() {
  const [url, model] = process.argv.slice(2);

  async function check(name, run) {
    let told = { check: name, ok: true };
    try {
      told.detail = (await run()) ?? "";
    } catch (error) {
      console.error(error);
      told = { check: name, ok: false, detail: String(error).slice(0, 500) };
    }
    console.log(JSON.stringify(told));
  }

  function must(so, seen) {
    if (!so) throw new Error(`not so: ${JSON.stringify(seen)}`);
  }

  async function refused(asked, kind, word) {
    const error = await asked.catch((error) => error);
    must(error instanceof kind && error.message.includes(word), error.message ?? error);
    return error;
  }

  async function count(name) {
    const text = await (await fetch(`${url}/metrics`)).text();
    return Number(text.match(new RegExp(`^${name}{.*} (\\S+)$`, "m"))?.[1] ?? 0);
  }

  async function leave(begin) {
    const before = await count("gadfly_generated_tokens_total");
    await begin();
    while (await count("gadfly_requests_running")) await new Promise((done) => setTimeout(done, 20));
    const written = (await count("gadfly_generated_tokens_total")) - before;
    must(written > 0 && written < 3000, `${written} tokens were written for nobody`);
    return "the server has stopped";
  }

  return { url, model, check, must, refused, leave };
}
