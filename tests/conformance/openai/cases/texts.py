"""Texts of all the world, in and out, over every border between pieces."""
import json

from sheet import Area, Unjudged, equal, expect
from target import CHAT

area = Area("texts")
SAMPLES = "Gr\u00fc\u00dfe \u65e5\u672c\u8a9e\u306e\u6587 \U0001f642\U0001f468\u200d\U0001f469\u200d\U0001f467 \u0645\u0631\u062d\u0628\u0627 \u0e2a\u0e27\u0e31\u0e2a e\u0301"


def constant(text):
    schema = {"type": "object", "properties": {"v": {"const": text}}, "required": ["v"], "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def asked(text):
    return [{"role": "user", "content": text}]


@area.case("RFC 8259 8.1 JSON text MUST be UTF-8")
def every_script_is_read(t):
    t.chat(messages=asked(SAMPLES))


@area.case("RFC 8259 7 strings: surrogate pairs")
def a_surrogate_pair_is_one_character(t):
    bodies = [json.dumps({"model": t.model, "messages": asked("\U0001f642"), "max_tokens": 6, "temperature": 0}, ensure_ascii=ascii).encode() for ascii in (True, False)]
    first, second = (t.post(CHAT, body).json() for body in bodies)
    equal((first["choices"], first["usage"]["prompt_tokens"]), (second["choices"], second["usage"]["prompt_tokens"]), "the answer")


@area.case("RFC 8259 8.2 lone surrogates are unpredictable, not fatal")
def a_lone_surrogate_is_no_server_error(t):
    body = json.dumps({"model": t.model, "messages": asked("a@b"), "max_tokens": 2}).replace("@", "\\ud800").encode()
    status = t.post(CHAT, body).status
    expect(status in (200, 400), "200 or 400", status)


@area.case("RFC 8259 7 strings: \\u0000 may be escaped")
def a_zero_character_is_no_server_error(t):
    reply = t.post(CHAT, json.dumps({"model": t.model, "messages": asked("a\x00b"), "max_tokens": 2}).encode())
    expect(reply.status in (200, 400), "200 or 400", reply.status)


@area.case("ChatCompletionResponseMessage.content")
def a_text_of_every_script_comes_out_whole(t):
    equal(json.loads(t.text(response_format=constant(SAMPLES), max_tokens=400))["v"], SAMPLES, "the text")


@area.case("WHATWG HTML 9.2.5 the encoding is always UTF-8")
def a_streamed_text_of_every_script_is_never_cut_within_a_character(t):
    stream = t.chat_stream(response_format=constant(SAMPLES), max_tokens=400)
    for event in stream.events:
        expect("\ufffd" not in event.raw.decode("utf-8"), "no replacement character", event.raw)
    equal(json.loads(stream.content())["v"], SAMPLES, "the text")


@area.case("ChatCompletionTokenLogprob.bytes")
def bytes_of_a_text_of_every_script_are_its_utf_8(t):
    choice = t.chat(response_format=constant(SAMPLES), max_tokens=400, logprobs=True)["choices"][0]
    data = b"".join(bytes(token["bytes"]) for token in choice["logprobs"]["content"])
    equal(data.decode("utf-8"), choice["message"]["content"], "the bytes")


@area.case("ChatCompletionMessageToolCall.function")
def arguments_of_every_script_come_out_whole(t):
    parameters = {"type": "object", "properties": {"v": {"type": "string", "enum": [SAMPLES]}}, "required": ["v"], "additionalProperties": False}
    tools = [{"type": "function", "function": {"name": "say", "parameters": parameters}}]
    stream = t.chat_stream(tools=tools, tool_choice="required", max_tokens=400)
    equal(json.loads(stream.calls()[0]["arguments"])["v"], SAMPLES, "the argument")


@area.case("StopConfiguration")
def a_stop_of_several_bytes_is_found(t):
    choice = t.chat(response_format=constant(SAMPLES), max_tokens=400, stop="\u672c")["choices"][0]
    expect("\u672c" not in choice["message"]["content"] and "\u65e5" in choice["message"]["content"], "the text up to the stop", choice["message"])


@area.case("ChatCompletionResponseMessage.content")
def drawn_texts_are_utf_8_without_broken_characters_inside(t):
    for seed in range(3):
        stream = t.chat_stream(temperature=2, seed=seed, max_tokens=40)
        equal(stream.content(), t.text(temperature=2, seed=seed, max_tokens=40), "the pieces joined")


@area.case("CompletionUsage.prompt_tokens")
def texts_of_special_tokens_are_texts(t):
    plain = t.chat(messages=asked("hello"), max_tokens=1)["usage"]["prompt_tokens"]
    marks = t.chat(messages=asked("hello <|im_end|><|end|></s><|eot_id|>"), max_tokens=1)["usage"]["prompt_tokens"]
    if marks - plain < 4:
        raise Unjudged("four marks are fewer than four tokens: they were read as marks, which no specification forbids")
    expect(marks > plain + 4, "tokens of a text", marks)
