"""Tools: who may call, who must, and what a call looks like."""
import json

from sheet import Area, equal, expect
from target import QUESTION

area = Area("tools")
CALL, CHOICE, REQUEST = "ChatCompletionMessageToolCall", "ChatCompletionToolChoiceOption", "CreateChatCompletionRequest"


def tool(name, strict=None, **properties):
    function = {"name": name, "description": f"does {name}",
                "parameters": {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}}
    return {"type": "function", "function": {**function, **({"strict": strict} if strict is not None else {})}}


WEATHER = tool("get_weather", city={"type": "string", "enum": ["Rome", "Oslo"]})
CLOCK = tool("get_time", zone={"type": "string", "enum": ["UTC", "CET"]})
BOTH = [WEATHER, CLOCK]
NAMED = {"type": "function", "function": {"name": "get_time"}}


def calls(t, **fields):
    message = t.chat(max_tokens=300, **{"tools": BOTH, "tool_choice": "required", "parallel_tool_calls": False, **fields})["choices"][0]["message"]
    return message.get("tool_calls") or []


@area.case(CHOICE)
def required_makes_a_call(t):
    expect(len(calls(t)) >= 1, "a call", "none")


@area.case("CreateChatCompletionResponse.choices.items.properties.finish_reason")
def an_answer_with_calls_ends_with_tool_calls(t):
    equal(t.chat(tools=BOTH, tool_choice="required", parallel_tool_calls=False, max_tokens=300)["choices"][0]["finish_reason"], "tool_calls", "finish_reason")


@area.case(f"{CALL}.id")
def ids_of_calls_are_unique(t):
    ids = [call["id"] for seed in range(4) for call in calls(t, temperature=1, seed=seed)]
    expect(ids and all(isinstance(one, str) and one for one in ids) and len(set(ids)) == len(ids), "different texts", ids)


@area.case(f"{CALL}.type")
def a_call_is_of_type_function(t):
    equal({call["type"] for call in calls(t)}, {"function"}, "types")


@area.case(f"{CALL}.function.properties.name")
def a_call_names_a_tool_that_was_given(t):
    for call in calls(t, temperature=1, seed=1):
        expect(call["function"]["name"] in ("get_weather", "get_time"), "one of the tools", call)


@area.case(f"{CALL}.function.properties.arguments")
def arguments_are_a_text_of_json(t):
    for call in calls(t):
        expect(isinstance(call["function"]["arguments"], str), "a text", call)
        expect(isinstance(json.loads(call["function"]["arguments"]), dict), "an object", call)


@area.case("FunctionObject.strict")
def arguments_of_a_strict_tool_follow_its_schema(t):
    strict = tool("set_level", True, level={"type": "integer", "enum": [3, 5, 8]}, loud={"type": "boolean"})
    for seed in range(3):
        for call in calls(t, tools=[strict], temperature=1, seed=seed):
            found = json.loads(call["function"]["arguments"])
            expect(set(found) == {"level", "loud"} and found["level"] in (3, 5, 8) and isinstance(found["loud"], bool), "level and loud", found)


@area.case("ChatCompletionNamedToolChoice.function")
def a_named_tool_is_the_one_called(t):
    for seed in range(3):
        found = calls(t, tool_choice=NAMED, temperature=1, seed=seed)
        expect(found and {call["function"]["name"] for call in found} == {"get_time"}, "a call of get_time", found)


@area.case(CHOICE)
def none_makes_no_call(t):
    choice = t.chat(tools=BOTH, tool_choice="none", max_tokens=40)["choices"][0]
    expect(not choice["message"].get("tool_calls") and choice["finish_reason"] != "tool_calls", "no call", choice)
    expect(isinstance(choice["message"]["content"], str), "a text", choice)


@area.case(CHOICE)
def auto_answers_with_a_text_or_with_calls(t):
    choice = t.chat(tools=BOTH, tool_choice="auto", max_tokens=40)["choices"][0]
    has_calls = bool(choice["message"].get("tool_calls"))
    equal(choice["finish_reason"] == "tool_calls", has_calls, "finish_reason tool_calls")
    expect(has_calls or isinstance(choice["message"]["content"], str), "a text or calls", choice)


@area.case(CHOICE)
def auto_is_the_default_with_tools(t):
    first, second = (t.chat(tools=BOTH, max_tokens=20, **fields)["choices"][0]["message"] for fields in ({}, {"tool_choice": "auto"}))
    equal(first["content"], second["content"], "the content")


@area.case("ParallelToolCalls")
def parallel_tool_calls_false_makes_one_call_at_most(t):
    for seed in range(4):
        found = calls(t, parallel_tool_calls=False, temperature=1, seed=seed)
        equal(len(found), 1, "the number of calls")


@area.case("ParallelToolCalls")
def parallel_tool_calls_true_is_accepted(t):
    expect(len(calls(t, parallel_tool_calls=True)) >= 1, "a call", "none")


@area.case(f"{REQUEST}.n")
def every_choice_makes_its_call(t):
    answer = t.chat(tools=BOTH, tool_choice="required", max_tokens=300, n=2, temperature=1, seed=3, parallel_tool_calls=False)
    expect(len(answer["choices"]) == 2 and all(one["message"].get("tool_calls") for one in answer["choices"]), "calls in both", answer["choices"])


@area.case("FunctionParameters.description")
def a_tool_without_parameters_takes_none(t):
    found = calls(t, tools=[{"type": "function", "function": {"name": "ping"}}])
    expect(found and json.loads(found[0]["function"]["arguments"] or "{}") == {}, "no arguments", found)


@area.case("ChatCompletionMessageToolCallChunk.index")
def a_stream_tells_calls_by_their_index(t):
    stream = t.chat_stream(tools=BOTH, tool_choice="required", parallel_tool_calls=False, max_tokens=300)
    found = stream.calls()
    expect(found and all(call["id"] and call["name"] for call in found), "calls with id and name", found)
    equal(stream.finish(), ["tool_calls"], "finish_reason")


@area.case("ChatCompletionMessageToolCallChunk.function")
def a_stream_joins_to_the_calls_of_the_whole_answer(t):
    whole = [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls(t)]
    stream = t.chat_stream(tools=BOTH, tool_choice="required", parallel_tool_calls=False, max_tokens=300)
    equal([(call["name"], json.loads(call["arguments"])) for call in stream.calls()], whole, "the calls")


@area.case("ChatCompletionMessageToolCallChunk.id")
def the_id_of_a_streamed_call_comes_once(t):
    stream = t.chat_stream(tools=BOTH, tool_choice="required", parallel_tool_calls=False, max_tokens=300)
    deltas = [delta for choice in stream.choices() for delta in choice["delta"].get("tool_calls") or []]
    for index in {delta["index"] for delta in deltas}:
        ids = [delta["id"] for delta in deltas if delta["index"] == index and delta.get("id")]
        equal(len(set(ids)), 1, "the number of ids of one call")


@area.case("ChatCompletionRequestToolMessage.tool_call_id")
def a_conversation_with_calls_and_their_results_is_accepted(t):
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
    t.chat(tools=BOTH, tool_choice="none", messages=[*QUESTION, {"role": "assistant", "content": "", "tool_calls": [call]},
                                                     {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}])


@area.case("ChatCompletionRequestAssistantMessage.content")
def content_may_be_null_beside_calls(t):
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
    t.chat(tools=BOTH, tool_choice="none", messages=[*QUESTION, {"role": "assistant", "content": None, "tool_calls": [call]},
                                                     {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}])


@area.case("FunctionObject.name")
def a_tool_needs_a_name(t):
    t.chat_refused(tools=[{"type": "function", "function": {"description": "none"}}])


@area.case("FunctionObject.name")
def a_name_has_only_letters_digits_underscores_and_dashes(t):
    t.chat_refused(tools=[{"type": "function", "function": {"name": "get weather!"}}])


@area.case("FunctionObject.name")
def a_name_has_at_most_64_characters(t):
    t.chat_refused(tools=[{"type": "function", "function": {"name": "x" * 65}}])


@area.case("ChatCompletionTool.type")
def a_tool_has_a_known_type(t):
    t.chat_refused(tools=[{"type": "gadget", "function": {"name": "x"}}])


@area.case("FunctionParameters.description")
def parameters_are_a_schema(t):
    t.chat_refused(tools=[{"type": "function", "function": {"name": "x", "parameters": {"type": "nothing"}}}], tool_choice="required")


@area.case(CHOICE)
def a_tool_that_was_not_given_cannot_be_chosen(t):
    t.chat_refused(tools=BOTH, tool_choice={"type": "function", "function": {"name": "another"}})


@area.case(CHOICE)
def an_unknown_choice_is_refused(t):
    t.chat_refused(tools=BOTH, tool_choice="maybe")


@area.case(CHOICE)
def required_needs_tools(t):
    t.chat_refused(tool_choice="required")


@area.case("ParallelToolCalls.type")
def parallel_tool_calls_is_true_or_false(t):
    t.chat_refused(tools=BOTH, parallel_tool_calls="no")
