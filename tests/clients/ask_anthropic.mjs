// Anthropic's client for JavaScript, which is found in the working directory.
import { createRequire } from "node:module";
import { COLOUR, ENDLESS, FRANCE, LONG, STORY, WEATHER, ask } from "./asking.mjs";

const Anthropic = createRequire(`${process.cwd()}/`)("@anthropic-ai/sdk").default;
const { check, leave, refused, url, model, must } = ask();
const client = new Anthropic({ baseURL: url, apiKey: "any", maxRetries: 0 });
const user = (content, max_tokens = 24) => ({ model, messages: [{ role: "user", content }], temperature: 0, max_tokens });
const tool = { name: "weather", description: "The weather", input_schema: WEATHER };

await check("models", async () => {
  const names = [];
  for await (const each of client.models.list()) names.push(each.id);
  must(names.includes(model), names);
});

await check("answer", async () => {
  const answer = await client.messages.create(user(FRANCE));
  must(answer.content[0].text.includes("Paris"), answer);
  const counted = await client.messages.countTokens({ model, messages: user(FRANCE).messages });
  must(counted.input_tokens === answer.usage.input_tokens + answer.usage.cache_read_input_tokens, counted);
});

await check("stream", async () => {
  const whole = await client.messages.create(user(FRANCE));
  const final = await client.messages.stream(user(FRANCE)).finalMessage();
  must(final.content[0].text === whole.content[0].text && final.stop_reason === whole.stop_reason, final);
});

await check("tools", async () => {
  const asked = { ...user("What is the weather in Paris?", 96), tools: [tool] };
  asked.tool_choice = { type: "any", disable_parallel_tool_use: true };
  const whole = await client.messages.create(asked);
  const call = whole.content.at(-1);
  must(whole.stop_reason === "tool_use" && call.name === "weather" && "city" in call.input, whole);
  const final = await client.messages.stream(asked).finalMessage();
  must(final.content.at(-1).input.city === call.input.city, final);
});

await check("schema", async () => {
  const output_config = { format: { type: "json_schema", schema: COLOUR } };
  const answer = await client.messages.create({ ...user("Which colour has the sky?"), output_config });
  must(["red", "green", "blue"].includes(JSON.parse(answer.content[0].text).colour), answer);
});

await check("errors", async () => {
  await refused(client.messages.create({ ...user(FRANCE), model: "opus" }), Anthropic.NotFoundError, "opus");
  await refused(client.messages.create(user(LONG)), Anthropic.BadRequestError, "4096");
});

await check("leaving", () =>
  leave(async () => {
    const stream = await client.messages.create({ ...user(STORY, 3000), logit_bias: ENDLESS, stream: true });
    for await (const event of stream) if (event.type === "content_block_delta") break; // which aborts it
  }),
);
