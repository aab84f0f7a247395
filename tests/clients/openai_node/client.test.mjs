// OpenAI's own client for Node, unchanged. BASE_URL and API_KEY come from the environment; check.py sets them.
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY, maxRetries: 0 });
const messages = [{ role: "user", content: "What is a KV cache?" }];
const model = (await client.models.list()).data[0].id;
const ask = (fields) => client.chat.completions.create({ model, messages, max_tokens: 24, temperature: 0, ...fields });
const Weather = z.object({ city: z.enum(["Rome", "Oslo"]) });

test("models are listed and retrieved", async () => {
  assert.equal((await client.models.retrieve(model)).id, model);
});

test("a chat is answered, with its usage and the request's id", async () => {
  const answer = await ask({});
  assert.ok(answer.choices[0].message.content.length > 0);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  assert.ok(answer._request_id);
});

test("a stream says what the whole answer says", async () => {
  let text = "", usage = null;
  for await (const chunk of await ask({ stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  const whole = await ask({});
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

test("the stream helper puts the message together", async () => {
  const runner = client.chat.completions.stream({ model, messages, max_tokens: 24, temperature: 0 });
  const pieces = [];
  runner.on("content", (delta) => pieces.push(delta));
  const final = await runner.finalChatCompletion();
  assert.equal(pieces.join(""), final.choices[0].message.content);
  assert.equal(final.choices[0].message.content, (await ask({})).choices[0].message.content);
});

test("structured output is parsed into a zod schema", async () => {
  const Person = z.object({ name: z.enum(["Ann", "Bob"]), age: z.number().int().min(0).max(150), tags: z.array(z.enum(["a", "b"])).max(2) });
  const answer = await client.chat.completions.parse({ model, messages, max_tokens: 300, temperature: 1, seed: 7,
                                                       response_format: zodResponseFormat(Person, "person") });
  const parsed = answer.choices[0].message.parsed;
  assert.deepEqual(Person.parse(parsed), parsed);
});

test("a demanded tool is called with arguments of its schema", async () => {
  const answer = await client.chat.completions.parse({ model, messages, max_tokens: 300, temperature: 0, tool_choice: "required",
    parallel_tool_calls: false, tools: [zodFunction({ name: "get_weather", parameters: Weather })] });
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  const call = answer.choices[0].message.tool_calls[0];
  assert.equal(call.function.name, "get_weather");
  assert.ok(["Rome", "Oslo"].includes(call.function.parsed_arguments.city));
});

test("a streamed call is put together, and the conversation goes on with its result", async () => {
  const tools = [{ type: "function", function: { name: "get_weather", parameters: z.toJSONSchema(Weather) } }];
  const final = await client.chat.completions.stream({ model, messages, max_tokens: 300, temperature: 0, tools, tool_choice: "required",
                                                       parallel_tool_calls: false }).finalChatCompletion();
  const message = final.choices[0].message;
  const call = message.tool_calls[0];
  assert.ok(["Rome", "Oslo"].includes(JSON.parse(call.function.arguments).city));
  const next = await ask({ messages: [...messages, message, { role: "tool", tool_call_id: call.id, content: "sunny" }], tools, tool_choice: "none" });
  assert.equal(typeof next.choices[0].message.content, "string");
});

test("logprobs come with the tokens", async () => {
  const tokens = (await ask({ logprobs: true, top_logprobs: 3 })).choices[0].logprobs.content;
  assert.ok(tokens.length > 0);
  for (const token of tokens) {
    assert.ok(token.logprob <= 0);
    assert.equal(token.top_logprobs.length, 3);
  }
});

test("n choices", async () => {
  const choices = (await ask({ n: 3, temperature: 1.5, seed: 3 })).choices;
  assert.deepEqual(choices.map((choice) => choice.index), [0, 1, 2]);
});

test("embeddings, as numbers and in the client's own base64", async () => {
  const answer = await client.embeddings.create({ model, input: ["a red house", "KV cache"] });
  assert.equal(answer.data.length, 2);
  const numbers = await client.embeddings.create({ model, input: "a red house", encoding_format: "float" });
  numbers.data[0].embedding.forEach((value, i) => assert.ok(Math.abs(value - answer.data[0].embedding[i]) < 1e-5));
});

test("completions go on from a prompt", async () => {
  const answer = await client.completions.create({ model, prompt: "The KV cache is", max_tokens: 8, temperature: 0, echo: true });
  assert.ok(answer.choices[0].text.startsWith("The KV cache is"));
});

const respond = (fields) => client.responses.create({ model, input: "What is a KV cache?", max_output_tokens: 24, temperature: 0, store: false, ...fields });

test("a response says what the chat says, and its stream says the same", async () => {
  const whole = await respond({});
  assert.equal(whole.output_text, (await ask({})).choices[0].message.content);
  let text = "", last = null, number = 0;
  for await (const event of await respond({ stream: true })) {
    assert.equal(event.sequence_number, number++);
    if (event.type === "response.output_text.delta") text += event.delta;
    last = event;
  }
  assert.equal(text, whole.output_text);
  assert.ok(["response.completed", "response.incomplete"].includes(last.type));
  assert.equal(last.response.usage.output_tokens, whole.usage.output_tokens);
});

test("the stream helper puts a response together", async () => {
  const stream = client.responses.stream({ model, input: "What is a KV cache?", max_output_tokens: 24, temperature: 0 });
  assert.equal((await stream.finalResponse()).output_text, (await respond({})).output_text);
});

test("a response is parsed into a zod schema", async () => {
  const answer = await client.responses.parse({ model, input: "A city", max_output_tokens: 300, text: { format: zodTextFormat(Weather, "weather") } });
  assert.ok(["Rome", "Oslo"].includes(answer.output_parsed.city));
});

test("a response calls a function, and the conversation goes on with its output", async () => {
  const tools = [{ type: "function", name: "get_weather", parameters: z.toJSONSchema(Weather), strict: true }];
  const first = await respond({ tools, tool_choice: "required", parallel_tool_calls: false, max_output_tokens: 300 });
  const call = first.output.find((item) => item.type === "function_call");
  assert.ok(["Rome", "Oslo"].includes(JSON.parse(call.arguments).city));
  const input = [{ role: "user", content: "What is a KV cache?" }, ...first.output, { type: "function_call_output", call_id: call.call_id, output: "sunny" }];
  assert.equal(typeof (await respond({ input, tools, tool_choice: "none" })).output_text, "string");
});

test("what a response cannot do is refused by its name", async () => {
  await assert.rejects(respond({ previous_response_id: "resp_1" }), (error) => error instanceof OpenAI.BadRequestError && error.param === "previous_response_id");
  await assert.rejects(respond({ tools: [{ type: "web_search" }] }), (error) => error.param === "tools[0].type");
});

test("errors have the client's classes", async () => {
  await assert.rejects(ask({ temperature: -3 }), (error) => error instanceof OpenAI.BadRequestError && error.param === "temperature");
  await assert.rejects(ask({ model: "none" }), OpenAI.NotFoundError);
  await assert.rejects(ask({ messages: [{ role: "user", content: "word ".repeat(5000) }] }), OpenAI.BadRequestError);
  const stranger = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: "wrong", maxRetries: 0 });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
  await assert.rejects(ask({ stream: true, top_p: 7 }), OpenAI.BadRequestError);
});

test("an aborted stream ends, and the server goes on", async () => {
  const stream = await ask({ max_tokens: 1500, stream: true, logit_bias: { 1: -100 } });
  let pieces = 0;
  for await (const _ of stream) {
    if (++pieces === 3) stream.controller.abort();
    assert.ok(pieces < 100);
  }
  const controller = new AbortController();
  const pending = client.chat.completions.create({ model, messages, max_tokens: 1500, logit_bias: { 1: -100 } }, { signal: controller.signal });
  controller.abort();
  await assert.rejects(pending, OpenAI.APIUserAbortError);
  assert.equal((await ask({ max_tokens: 2 })).usage.completion_tokens, 2);
});
