"""Responses: items in, items out."""
import json

from sheet import Area, Lost, equal, expect
from target import RESPONSES

area = Area("responses")
WEATHER = {"type": "function", "name": "get_weather", "description": "the weather of a city", "strict": True,
           "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Rome", "Oslo"]}}, "required": ["city"],
                          "additionalProperties": False}}
CLOCK = {**WEATHER, "name": "get_time"}
CALLING = {"tools": [WEATHER, CLOCK], "tool_choice": "required", "parallel_tool_calls": False, "max_output_tokens": 300}


def text_of(answer):
    return "".join(part["text"] for item in answer["output"] if item["type"] == "message" for part in item["content"])


def calls_of(answer):
    return [item for item in answer["output"] if item["type"] == "function_call"]


def refused(t, **fields):
    return t.refused(RESPONSES, {"model": t.model, "input": "What is a KV cache?", "max_output_tokens": 16, **fields})


@area.case("Response.object")
def an_answer_is_a_response(t):
    equal(t.response()["object"], "response", "object")


@area.case("Response.required")
def a_response_has_the_fields_that_are_required(t):
    needed = {"id", "object", "created_at", "error", "incomplete_details", "instructions", "model", "tools", "output", "parallel_tool_calls", "metadata",
              "tool_choice", "temperature", "top_p"}
    expect(needed <= set(t.response()), f"{sorted(needed)}", sorted(t.response()))


@area.case("Response.id")
def ids_of_responses_differ(t):
    expect(t.response()["id"] != t.response()["id"], "different ids", "one")


@area.case("OutputMessage.required")
def a_text_is_a_message_of_the_assistant(t):
    for item in t.response()["output"]:
        if item["type"] == "message":
            equal(item["role"], "assistant", "role")
            expect(isinstance(item["id"], str) and item["status"] in ("completed", "incomplete"), "an id and a status", item)


@area.case("OutputTextContent.required")
def a_text_has_annotations_and_logprobs(t):
    for item in t.response()["output"]:
        for part in item["content"] if item["type"] == "message" else []:
            equal(part["type"], "output_text", "type")
            expect(isinstance(part["text"], str) and part["annotations"] == [] and part["logprobs"] == [], "text, annotations, logprobs", part)


@area.case("CreateResponse.input")
def a_text_is_the_message_of_a_user(t):
    text = text_of(t.response())
    equal(text_of(t.response(input=[{"role": "user", "content": "What is a KV cache?"}])), text, "the text")
    equal(text_of(t.response(input=[{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is a KV cache?"}]}])), text, "the text")


@area.case("CreateResponse.input")
def the_same_question_as_a_chat_gets_the_same_text(t):
    equal(text_of(t.response()), t.text(max_tokens=16), "the text")


@area.case("CreateResponse.instructions")
def instructions_are_a_system_message(t):
    told = t.response(instructions="Answer in one word.")
    equal(told["instructions"], "Answer in one word.", "instructions")
    messages = [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "What is a KV cache?"}]
    equal(told["usage"]["input_tokens"], t.chat(messages=messages)["usage"]["prompt_tokens"], "input_tokens")


@area.case("Response.incomplete_details")
def an_answer_that_was_cut_is_incomplete(t):
    for question in ("Tell me a long story about the sea.", "Count from one to fifty in words."):
        answer = t.response(input=question, max_output_tokens=16)
        if answer["usage"]["output_tokens"] == 16:
            equal(answer["status"], "incomplete", "status")
            equal(answer["incomplete_details"], {"reason": "max_output_tokens"}, "incomplete_details")
            return
    equal(answer["status"], "completed", "status")


@area.case("ResponseUsage.required")
def usage_adds_up(t):
    usage = t.response()["usage"]
    equal(usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"], "total_tokens")
    expect(isinstance(usage["input_tokens_details"]["cached_tokens"], int) and isinstance(usage["output_tokens_details"]["reasoning_tokens"], int),
           "details", usage)


@area.case("CreateResponse.temperature")
def temperature_0_repeats_itself(t):
    equal(text_of(t.response()), text_of(t.response()), "the text")


@area.case("CreateResponse.metadata")
def metadata_comes_back(t):
    equal(t.response(metadata={"a": "b"})["metadata"], {"a": "b"}, "metadata")


@area.case("CreateResponse.tool_choice")
def a_demanded_call_comes_with_arguments_of_its_schema(t):
    calls = calls_of(t.response(**CALLING))
    expect(calls, "a call", "none")
    expect(calls[0]["name"] in ("get_weather", "get_time") and json.loads(calls[0]["arguments"])["city"] in ("Rome", "Oslo"), "Rome or Oslo", calls)
    expect(isinstance(calls[0]["call_id"], str) and calls[0]["call_id"], "a call_id", calls)


@area.case("ToolChoiceFunction.name")
def a_named_function_is_the_one_called(t):
    calls = calls_of(t.response(**{**CALLING, "tool_choice": {"type": "function", "name": "get_time"}}))
    equal([call["name"] for call in calls], ["get_time"], "names of calls")


@area.case("ToolChoiceAllowed.tools")
def allowed_tools_are_the_only_ones(t):
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_time"}]}
    equal({call["name"] for call in calls_of(t.response(**{**CALLING, "tool_choice": choice}))}, {"get_time"}, "names of calls")


@area.case("FunctionCallOutputItemParam.output")
def a_conversation_goes_on_with_the_output_of_a_call(t):
    first = t.response(**CALLING)
    call = calls_of(first)[0]
    items = [{"role": "user", "content": "What is a KV cache?"}, *first["output"], {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}]
    expect(isinstance(text_of(t.response(input=items, tools=[WEATHER], tool_choice="none")), str), "a text", "none")


@area.case("FunctionToolCall.arguments")
def arguments_in_the_history_that_are_no_json_are_refused(t):
    refused(t, input=[{"role": "user", "content": "hi"}, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{"},
                      {"type": "function_call_output", "call_id": "c", "output": "x"}])


@area.case("TextResponseFormatJsonSchema.schema")
def a_text_follows_its_schema(t):
    schema = {"type": "object", "properties": {"level": {"type": "integer", "enum": [3, 5]}}, "required": ["level"], "additionalProperties": False}
    answer = t.response(text={"format": {"type": "json_schema", "name": "level", "strict": True, "schema": schema}}, max_output_tokens=100)
    expect(json.loads(text_of(answer))["level"] in (3, 5), "3 or 5", text_of(answer))


@area.case("IncludeEnum.enum")
def logprobs_come_where_they_are_included(t):
    answer = t.response(include=["message.output_text.logprobs"], top_logprobs=2)
    for item in answer["output"]:
        for part in item["content"] if item["type"] == "message" else []:
            equal("".join(token["token"] for token in part["logprobs"]), part["text"], "the tokens joined")
            expect(all(token["logprob"] <= 0 and len(token["top_logprobs"]) == 2 for token in part["logprobs"]), "two each", part["logprobs"])


@area.case("CreateResponse.previous_response_id")
def a_response_that_is_not_stored_cannot_be_gone_on_with(t):
    reply = t.post(RESPONSES, {"model": t.model, "input": "hi", "previous_response_id": "resp_none", "max_output_tokens": 16})
    expect(reply.status in (400, 404), "400 or 404", reply.status)
    equal(reply.json()["error"]["param"], "previous_response_id", "param")


@area.case("CreateResponse.truncation")
def a_prompt_that_does_not_fit_is_refused(t):
    error = refused(t, input="word " * (t.context_tokens() + 100))
    expect(isinstance(error["message"], str), "a message", error)


@area.case("ModelResponseProperties.temperature")
def numbers_out_of_range_are_refused_by_their_name(t):
    for name, value in (("temperature", 2.1), ("temperature", -1), ("top_p", 1.5), ("top_logprobs", 21), ("max_output_tokens", 0)):
        equal(refused(t, **{name: value})["param"], name, f"param of {name} {value}")


@area.case("ResponseProperties.tools")
def what_is_no_tool_is_refused(t):
    for tools in ([{"type": "function"}], [{"type": "nothing"}], "get_weather"):
        expect("tools" in (refused(t, tools=tools)["param"] or ""), "param tools...", tools)


@area.case("InputItem.oneOf")
def what_is_no_item_is_refused(t):
    for items in ([7], [{"role": "robot", "content": "x"}], [{"type": "nothing"}], [{"role": "user"}], []):
        expect((refused(t, input=items)["param"] or "").startswith("input"), "param input...", items)


@area.case("TextResponseFormatConfiguration.oneOf")
def an_unknown_format_is_refused(t):
    expect((refused(t, text={"format": {"type": "xml"}})["param"] or "").startswith("text"), "param text...", "another")


@area.case("CreateResponse.store")
def what_is_not_stored_is_not_said_to_be(t):
    answer = t.response(store=True)
    stored = t.get(f"{RESPONSES}/{answer['id']}").status == 200
    if answer.get("store") is not stored:
        raise Lost(f"store {stored}, as GET says", answer.get("store"))
