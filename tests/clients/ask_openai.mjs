// OpenAI's client for JavaScript, which is found in the working directory.
import { createRequire } from "node:module";
import { COLOUR, ENDLESS, FRANCE, LONG, STORY, WEATHER, ask } from "./asking.mjs";

const OpenAI = createRequire(`${process.cwd()}/`)("openai").default;
const { check, leave, refused, url, model, must } = ask();
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", maxRetries: 0 });
const user = (content) => ({ model, messages: [{ role: "user", content }], temperature: 0, max_tokens: 24 });
const tool = { type: "function", function: { name: "weather", description: "The weather", parameters: WEATHER } };

await check("models", async () => {
  const names = [];
  for await (const each of client.models.list()) names.push(each.id);
  must(names.includes(model), names);
});

await check("answer", async () => {
  const answer = await client.chat.completions.create(user(FRANCE));
  must(answer.choices[0].message.content.includes("Paris"), answer);
});

await check("stream", async () => {
  const whole = await client.chat.completions.create(user(FRANCE));
  const stream = client.chat.completions.stream({ ...user(FRANCE), stream_options: { include_usage: true } });
  const final = await stream.finalChatCompletion();
  must(final.choices[0].message.content === whole.choices[0].message.content, final);
  must(final.usage.completion_tokens > 0, final);
});

await check("tools", async () => {
  const asked = { ...user("What is the weather in Paris?"), tools: [tool], tool_choice: "required", max_tokens: 96 };
  asked.parallel_tool_calls = false;
  const whole = await client.chat.completions.create(asked);
  const call = whole.choices[0].message.tool_calls[0].function;
  must(call.name === "weather" && "city" in JSON.parse(call.arguments), whole);
  const final = await client.chat.completions.stream(asked).finalChatCompletion();
  must(final.choices[0].message.tool_calls[0].function.arguments === call.arguments, final);
});

await check("schema", async () => {
  const response_format = { type: "json_schema", json_schema: { name: "colour", schema: COLOUR, strict: true } };
  const answer = await client.chat.completions.parse({ ...user("Which colour has the sky?"), response_format });
  must(["red", "green", "blue"].includes(JSON.parse(answer.choices[0].message.content).colour), answer);
});

await check("responses", async () => {
  const stream = client.responses.stream({ model, input: "Hello", max_output_tokens: 16 });
  let deltas = "";
  for await (const event of stream) if (event.type === "response.output_text.delta") deltas += event.delta;
  must(deltas === (await stream.finalResponse()).output_text, deltas);
});

await check("embeddings", async () => {
  const answer = await client.embeddings.create({ model, input: ["one", "two"] });
  must(answer.data.length === 2 && Number.isFinite(answer.data[1].embedding[0]), answer);
});

await check("errors", async () => {
  await refused(client.chat.completions.create({ ...user(FRANCE), model: "gpt-99" }), OpenAI.NotFoundError, "gpt-99");
  const error = await refused(client.chat.completions.create(user(LONG)), OpenAI.BadRequestError, "4096");
  must(error.code === "context_length_exceeded", error);
});

await check("leaving", () =>
  leave(async () => {
    const asked = { ...user(STORY), max_tokens: 3000, logit_bias: ENDLESS, stream: true };
    const stream = await client.chat.completions.create(asked);
    for await (const _ of stream) break; // which aborts it
  }),
);
