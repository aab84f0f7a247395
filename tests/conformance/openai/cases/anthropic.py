"""Anthropic's messages: they count where they are offered. Cited: the types of Anthropic's client, anthropic 2.14.0."""
import json

from sheet import Area, equal, expect
from target import MESSAGES, split_events

area = Area("anthropic", lambda t: t.offers(MESSAGES, {"model": t.model, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}), of_spec=False)
PARAMS, BLOCK = "anthropic types/message_create_params.py", "anthropic types"
WEATHER = {"name": "get_weather", "description": "the weather of a city",
           "input_schema": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Rome", "Oslo"]}}, "required": ["city"],
                            "additionalProperties": False}}
CLOCK = {**WEATHER, "name": "get_time"}
CALLING = {"tools": [WEATHER, CLOCK], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}, "max_tokens": 300}


def text_of(message):
    return "".join(block["text"] for block in message["content"] if block["type"] == "text")


def refused(t, status=400, **fields):
    reply = t.post(MESSAGES, {"model": t.model, "max_tokens": 4, "messages": [{"role": "user", "content": "hi"}], **fields})
    equal(reply.status, status, "status")
    return reply.json()


def events(t, **fields):
    reply = t.message_reply(stream=True, **fields)
    return [json.loads(event.data) for event in split_events(reply.body) if event.data is not None]


@area.case(f"{BLOCK}/message.py Message")
def an_answer_is_a_message_of_the_assistant(t):
    message = t.message()
    equal((message["type"], message["role"]), ("message", "assistant"), "type and role")
    expect({"id", "model", "content", "stop_reason", "stop_sequence", "usage"} <= set(message), "the fields of a message", sorted(message))


@area.case(f"{PARAMS} max_tokens")
def max_tokens_is_required(t):
    refused(t, max_tokens=None)


@area.case(f"{BLOCK}/stop_reason.py")
def an_answer_that_was_cut_says_so(t):
    for question in ("Tell me a long story about the sea.", "Count from one to fifty in words."):
        message = t.message(messages=[{"role": "user", "content": question}], max_tokens=3)
        if message["usage"]["output_tokens"] == 3:
            equal(message["stop_reason"], "max_tokens", "stop_reason")
            return
    equal(message["stop_reason"], "end_turn", "stop_reason")


@area.case(f"{PARAMS} messages")
def a_string_is_a_block_of_text(t):
    blocks = t.message(messages=[{"role": "user", "content": [{"type": "text", "text": "What is a KV cache?"}]}])
    equal(text_of(blocks), text_of(t.message()), "the text")


@area.case(f"{PARAMS} messages")
def the_same_question_as_a_chat_gets_the_same_text(t):
    equal(text_of(t.message(max_tokens=12)), t.text(max_tokens=12), "the text")


@area.case(f"{PARAMS} messages: prefill")
def a_last_message_of_the_assistant_is_gone_on_with(t):
    # Longer by its text alone: no turn is closed and no new one opened.
    count = lambda messages: t.post(f"{MESSAGES}/count_tokens", {"model": t.model, "messages": messages}).json()["input_tokens"]
    turn = {"role": "user", "content": "What is a KV cache?"}
    open_turn = count([turn])
    expect(open_turn < count([turn, {"role": "assistant", "content": "The"}]) <= open_turn + 3, "a token or two more", "another prompt")


@area.case(f"{PARAMS} system")
def a_system_prompt_is_a_system_message(t):
    messages = [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "What is a KV cache?"}]
    usage = t.message(system="Answer in one word.")["usage"]
    equal(usage["input_tokens"] + (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0),
          t.chat(messages=messages)["usage"]["prompt_tokens"], "tokens of the prompt")


@area.case(f"{PARAMS} stop_sequences")
def a_stop_sequence_ends_the_answer_and_is_named(t):
    _, text = t.long_answer()
    whole = text_of(t.message(messages=t.long_answer()[0], max_tokens=60))
    stop = whole[10:14]
    message = t.message(messages=t.long_answer()[0], max_tokens=60, stop_sequences=["\u2603", stop])
    equal((message["stop_reason"], message["stop_sequence"]), ("stop_sequence", stop), "stop_reason and stop_sequence")
    equal(text_of(message), whole[:whole.index(stop)], "the text")
    expect(text, "a text", text)


@area.case(f"{PARAMS} tool_choice: any")
def a_demanded_call_is_a_block_with_an_input_of_its_schema(t):
    message = t.message(**CALLING)
    blocks = [block for block in message["content"] if block["type"] == "tool_use"]
    equal(message["stop_reason"], "tool_use", "stop_reason")
    expect(len(blocks) == 1 and blocks[0]["name"] in ("get_weather", "get_time") and blocks[0]["input"]["city"] in ("Rome", "Oslo"), "a call", blocks)
    expect(isinstance(blocks[0]["id"], str) and blocks[0]["id"], "an id", blocks)


@area.case(f"{PARAMS} tool_choice: tool")
def a_named_tool_is_the_one_called(t):
    message = t.message(**{**CALLING, "tool_choice": {"type": "tool", "name": "get_time"}})
    equal([block["name"] for block in message["content"] if block["type"] == "tool_use"], ["get_time"], "names of calls")


@area.case(f"{BLOCK}/tool_result_block_param.py")
def a_conversation_goes_on_with_the_result_of_a_call(t):
    first = t.message(**CALLING)
    call = next(block for block in first["content"] if block["type"] == "tool_use")
    messages = [{"role": "user", "content": "What is a KV cache?"}, {"role": "assistant", "content": first["content"]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"}]}]
    equal(t.message(messages=messages, tools=[WEATHER], tool_choice={"type": "none"})["type"], "message", "type")


@area.case(f"{BLOCK}/json_output_format_param.py schema")
def a_text_follows_its_schema(t):
    schema = {"type": "object", "properties": {"level": {"type": "integer", "enum": [3, 5]}}, "required": ["level"], "additionalProperties": False}
    message = t.message(output_config={"format": {"type": "json_schema", "schema": schema}}, max_tokens=100)
    expect(json.loads(text_of(message))["level"] in (3, 5), "3 or 5", text_of(message))


@area.case(f"{BLOCK}/message_count_tokens_params.py")
def tokens_are_counted_as_they_are_used(t):
    messages = [{"role": "user", "content": "What is a KV cache?"}]
    counted = t.post(f"{MESSAGES}/count_tokens", {"model": t.model, "messages": messages}).json()["input_tokens"]
    equal(counted, t.chat(messages=messages)["usage"]["prompt_tokens"], "input_tokens")


@area.case(f"{BLOCK}/raw_message_stream_event.py")
def a_stream_begins_and_ends_as_documented(t):
    kinds = [event["type"] for event in events(t) if event["type"] != "ping"]
    equal((kinds[0], kinds[-2:]), ("message_start", ["message_delta", "message_stop"]), "the first and the last two events")
    expect(set(kinds[1:-2]) <= {"content_block_start", "content_block_delta", "content_block_stop"}, "events of blocks between", kinds)


@area.case(f"{BLOCK}/raw_content_block_delta.py")
def deltas_build_the_blocks(t):
    for fields in ({"max_tokens": 30}, CALLING):
        blocks, inputs = [], {}
        for event in events(t, **fields):
            if event["type"] == "content_block_start":
                equal(event["index"], len(blocks), "index")
                blocks.append({**event["content_block"]})
            elif event["type"] == "content_block_delta":
                block, delta = blocks[event["index"]], event["delta"]
                if delta["type"] == "input_json_delta":
                    inputs[event["index"]] = inputs.get(event["index"], "") + delta["partial_json"]
                elif delta["type"] in ("text_delta", "thinking_delta"):
                    name = delta["type"].removesuffix("_delta")
                    block[name] += delta[name]
            elif event["type"] == "content_block_stop" and event["index"] in inputs:
                blocks[event["index"]]["input"] = json.loads(inputs[event["index"]])
        whole = t.message(**fields)["content"]
        equal([{**block, "id": None} for block in blocks], [{**block, "id": None} for block in whole], "the blocks")


@area.case(f"{BLOCK}/raw_message_delta_event.py")
def the_end_of_a_stream_has_reason_and_usage(t):
    delta, whole = [event for event in events(t) if event["type"] == "message_delta"][-1], t.message()
    equal(delta["delta"]["stop_reason"], whole["stop_reason"], "stop_reason")
    equal(delta["usage"]["output_tokens"], whole["usage"]["output_tokens"], "output_tokens")


@area.case(f"{BLOCK}/raw_message_stream_event.py")
def each_event_has_the_type_of_its_object(t):
    for event in split_events(t.message_reply(stream=True).body):
        if event.data is not None:
            equal([value for name, value in event.fields if name == "event"], [json.loads(event.data)["type"]], "event")


@area.case(f"{BLOCK}/shared/error_response.py")
def an_error_has_its_type_and_message(t):
    answer = refused(t, temperature=-1)
    equal(answer["type"], "error", "type")
    equal(answer["error"]["type"], "invalid_request_error", "error.type")
    expect(isinstance(answer["error"]["message"], str), "a message", answer)


@area.case(f"{BLOCK}/shared/not_found_error.py")
def a_model_that_is_not_there_is_not_found(t):
    equal(refused(t, 404, model="no-such-model")["error"]["type"], "not_found_error", "error.type")


@area.case(f"{BLOCK}/shared/authentication_error.py")
def a_key_comes_as_x_api_key(t):
    if t.key is None:
        return
    body = {"model": t.model, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    equal(t.post(MESSAGES, body, headers={"Authorization": None, "x-api-key": t.key}).status, 200, "status with the key")
    reply = t.post(MESSAGES, body, headers={"Authorization": None, "x-api-key": t.key + "x"})
    equal((reply.status, reply.json()["error"]["type"]), (401, "authentication_error"), "status and error.type without")


@area.case("Anthropic API reference, Create a Message: temperature, top_p, max_tokens")
def numbers_out_of_range_are_refused(t):
    for name, value in (("temperature", 1.5), ("temperature", -0.1), ("top_p", 1.5), ("max_tokens", -1)):
        equal(refused(t, **{name: value})["error"]["type"], "invalid_request_error", f"error.type of {name} {value}")


@area.case(f"{BLOCK}/message_param.py")
def what_is_no_message_is_refused(t):
    for messages in ([], [7], [{"role": "robot", "content": "x"}], [{"role": "user"}], [{"role": "user", "content": [{"type": "nothing"}]}],
                     [{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}]):
        refused(t, messages=messages)


@area.case(f"{BLOCK}/tool_param.py")
def what_is_no_tool_is_refused(t):
    for tools in ([{"name": "f"}], [{"input_schema": {}}], [{"name": "a b", "input_schema": {"type": "object"}}], "f"):
        refused(t, tools=tools)
