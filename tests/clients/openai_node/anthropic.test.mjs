// Anthropic's own client for Node, unchanged. BASE_URL and API_KEY come from the environment.
import assert from "node:assert/strict";
import test from "node:test";
import Anthropic from "@anthropic-ai/sdk";

const options = { baseURL: process.env.BASE_URL.replace(/\/v1$/, ""), apiKey: process.env.API_KEY, maxRetries: 0 };
const client = new Anthropic(options);
const model = "pico";
const messages = [{ role: "user", content: "What is a KV cache?" }];
const tools = [{ name: "get_weather", description: "the weather of a city",
                 input_schema: { type: "object", properties: { city: { enum: ["Rome", "Oslo"] } }, required: ["city"], additionalProperties: false } }];
const ask = (fields) => client.messages.create({ model, messages, max_tokens: 24, temperature: 0, ...fields });
const textOf = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

test("a message is answered, with its usage and the request's id", async () => {
  const message = await ask({});
  assert.ok(textOf(message).length > 0);
  assert.ok(["end_turn", "max_tokens"].includes(message.stop_reason));
  assert.ok(message.usage.output_tokens > 0);
  assert.ok(message._request_id);
});

test("the stream helper puts the message together", async () => {
  const pieces = [];
  const final = await client.messages.stream({ model, messages, max_tokens: 24, temperature: 0 }).on("text", (text) => pieces.push(text)).finalMessage();
  const whole = await ask({});
  assert.equal(textOf(final), textOf(whole));
  assert.equal(pieces.join(""), textOf(whole));
  assert.equal(final.stop_reason, whole.stop_reason);
  assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
});

test("a demanded tool is called, streamed too, and the conversation goes on with its result", async () => {
  const fields = { model, messages, max_tokens: 300, temperature: 0, tools, tool_choice: { type: "any", disable_parallel_tool_use: true } };
  const message = await client.messages.stream(fields).finalMessage();
  const call = message.content.find((block) => block.type === "tool_use");
  assert.ok(["Rome", "Oslo"].includes(call.input.city));
  assert.deepEqual((await client.messages.create(fields)).content.at(-1).input, call.input);
  const next = await ask({ tools, messages: [...messages, { role: "assistant", content: message.content },
                                             { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "sunny" }] }] });
  assert.equal(next.type, "message");
});

test("stop sequences, and tokens counted", async () => {
  const whole = textOf(await ask({}));
  const stop = whole.slice(8, 12);
  const cut = await ask({ stop_sequences: [stop] });
  assert.equal(cut.stop_reason, "stop_sequence");
  assert.equal(cut.stop_sequence, stop);
  assert.ok((await client.messages.countTokens({ model, messages })).input_tokens > 5);
});

test("errors have the client's classes", async () => {
  await assert.rejects(ask({ temperature: -3 }), (error) => error instanceof Anthropic.BadRequestError && error.error.error.type === "invalid_request_error");
  await assert.rejects(ask({ model: "none" }), Anthropic.NotFoundError);
  await assert.rejects(new Anthropic({ ...options, apiKey: "wrong" }).messages.create({ model, messages, max_tokens: 1 }), Anthropic.AuthenticationError);
});
