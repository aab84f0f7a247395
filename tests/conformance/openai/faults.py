"""What servers get wrong, one thing at a time. Each was seen in a server that people use."""
import json

FAULTS = {}


class Fault:
    """`only`: the cases that are run; at least one of them must be lost."""

    missing_bytes, head_has_body = 0, False

    def __init__(self, name, sentence, only):
        self.name, self.sentence, self.only = name, sentence, only

    def before(self, exchange):
        """Changes a request on its way."""

    def after(self, exchange):
        """Changes an answer on its way back."""


def none():
    return Fault("none", "nothing is spoiled", "")


def add(fault):
    FAULTS[fault.name] = fault
    return fault


def drops(field, only, sentence=None):
    fault = add(Fault(f"ignores_{field}", sentence or f"\"{field}\" is read over", only))

    def before(exchange):
        fields = exchange.fields()
        if fields is not None and field in fields:
            del fields[field]
            exchange.set_fields(fields)
    fault.before = before


def changes_request(name, sentence, only, change):
    fault = add(Fault(name, sentence, only))

    def before(exchange):
        fields = exchange.fields()
        if fields is not None and "messages" in fields:
            change(fields)
            exchange.set_fields(fields)
    fault.before = before


def changes_answer(name, sentence, only, change):
    """change(object, request fields) of whole answers of 200."""
    fault = add(Fault(name, sentence, only))

    def after(exchange):
        value = exchange.object()
        if exchange.status == 200 and isinstance(value, dict) and exchange.method == "POST":
            change(value, exchange.fields() or {})
            exchange.set_object(value)
    fault.after = after


def changes_error(name, sentence, only, change):
    """change(exchange, object) of refusals."""
    fault = add(Fault(name, sentence, only))

    def after(exchange):
        value = exchange.object()
        if exchange.status >= 400 and isinstance(value, dict):
            change(exchange, value)
    fault.after = after


def changes_stream(name, sentence, only, change):
    """change(chunks, request fields) gives new chunks, or change(exchange) when it wants the events."""
    fault = add(Fault(name, sentence, only))

    def after(exchange):
        if exchange.status == 200 and exchange.streams:
            change(exchange)
    fault.after = after


def with_chunks(change):
    return lambda exchange: exchange.set_chunks(change(exchange.chunks()))


def choices_of(value):
    return value.get("choices") or []


# Fields that are read over, the oldest complaint of all.
drops("n", "^(chat|chat-stream)/")
drops("stop", "^(sampling|chat-stream)/.*stop")
drops("seed", "^sampling/.*seed")
drops("logit_bias", "^sampling/.*bias")
drops("frequency_penalty", "^sampling/.*penalt")
drops("presence_penalty", "^sampling/.*penalt")
drops("top_p", "^sampling/.*top_p")
drops("top_logprobs", "^logprobs/")
drops("logprobs", "^logprobs/")
drops("response_format", "^structured/(enum|const|bounds|an_answer)")
drops("tool_choice", "^tools/")
drops("max_completion_tokens", "^chat/max_")
drops("stream_options", "^chat-stream/usage")
drops("zzz_unknown", "^refusals/an_unknown", "a field that nobody knows is dropped in silence")
changes_request("always_samples", "temperature 0 draws like 2", "^sampling/temperature",
                lambda fields: fields.update(temperature=2 if fields.get("temperature") == 0 else fields.get("temperature", 1)))
changes_request("clamps_temperature", "a temperature out of range is put into it", "^refusals/temperature",
                lambda fields: isinstance(fields.get("temperature"), (int, float)) and fields.update(temperature=min(max(fields["temperature"], 0), 2)))
changes_request("cuts_prompts", "a prompt that does not fit loses its beginning", "^refusals/a_prompt",
                lambda fields: [message.update(content=message["content"][-200:]) for message in fields["messages"]
                                if isinstance(message, dict) and isinstance(message.get("content"), str)])
changes_request("shows_stops", "the stop is part of the answer", "^sampling/.*stop",
                lambda fields: fields.update(include_stop_str_in_output=True) if fields.get("stop") else None)
changes_request("many_calls", "parallel_tool_calls is always true", "^tools/parallel",
                lambda fields: fields.update(parallel_tool_calls=True) if "parallel_tool_calls" in fields else None)

# Whole answers.
changes_answer("wrong_finish_reason", "every answer ends with stop", "^chat/",
               lambda value, _: [one.update(finish_reason="stop") for one in choices_of(value)])
changes_answer("calls_end_with_stop", "an answer with calls ends with stop", "^tools/",
               lambda value, _: [one.update(finish_reason="stop") for one in choices_of(value) if one.get("message", {}).get("tool_calls")])
changes_answer("one_id", "all answers have one id", "^chat/id", lambda value, _: value.update(id="chatcmpl-1"))
changes_answer("created_in_milliseconds", "created counts milliseconds", "^chat/created", lambda value, _: "created" in value and value.update(created=value["created"] * 1000))
changes_answer("other_model", "model is another name", "^chat/model", lambda value, _: "model" in value and value.update(model="gpt-4o"))
changes_answer("wrong_total", "total_tokens is one too many", "^chat/total",
               lambda value, _: "usage" in value and value["usage"].update(total_tokens=value["usage"]["total_tokens"] + 1))
changes_answer("counts_one_choice", "usage counts the first choice alone", "^chat/completion_tokens",
               lambda value, fields: "usage" in value and value["usage"].update(completion_tokens=value["usage"]["completion_tokens"] // (fields.get("n") or 1)))
changes_answer("indices_0", "all choices have index 0", "^chat/n_answers", lambda value, _: [one.update(index=0) for one in choices_of(value)])
changes_answer("fenced_json", "structured output stands in a code block", "^structured/an_answer",
               lambda value, fields: "response_format" in fields and
               [one["message"].update(content=f"```json\n{one['message']['content']}\n```") for one in choices_of(value)])
changes_answer("arguments_as_object", "arguments of calls are an object", "^tools/arguments",
               lambda value, _: [call["function"].update(arguments=json.loads(call["function"]["arguments"]))
                                 for one in choices_of(value) for call in one["message"].get("tool_calls") or []])


def tokens_of(value):
    return [token for one in choices_of(value) if one.get("logprobs") for token in one["logprobs"].get("content") or []]


changes_answer("numbers_as_texts", "logprobs are texts", "^logprobs/",
               lambda value, _: [token.update(logprob=str(token["logprob"])) for token in tokens_of(value)])
changes_answer("probabilities", "logprobs are probabilities", "^logprobs/",
               lambda value, _: [token.update(logprob=2.718281828 ** token["logprob"]) for token in tokens_of(value)])
changes_answer("unsorted_top", "top_logprobs begin with the least likely", "^logprobs/",
               lambda value, _: [token["top_logprobs"].reverse() for token in tokens_of(value)])
changes_answer("no_bytes", "bytes of tokens are left out", "^logprobs/", lambda value, _: [token.pop("bytes") for token in tokens_of(value)])

# Streams.
changes_stream("no_usage", "the piece with the usage is lost", "^chat-stream/usage",
               with_chunks(lambda chunks: [chunk for chunk in chunks if chunk["choices"]]))
changes_stream("done_twice", "[DONE] comes twice", "^event-stream/", lambda exchange: exchange.set_events(exchange.events() + [b"data: [DONE]"]))
changes_stream("no_done", "[DONE] does not come", "^event-stream/", lambda exchange: exchange.set_events(exchange.events()[:-1]))
changes_stream("no_role", "the first piece has no role", "^chat-stream/", with_chunks(
    lambda chunks: [one["delta"].pop("role", None) for chunk in chunks for one in chunk["choices"]] and chunks))
changes_stream("new_ids", "each piece has an id of its own", "^chat-stream/every", with_chunks(
    lambda chunks: [{**chunk, "id": f"chatcmpl-{i}"} for i, chunk in enumerate(chunks)]))
changes_stream("ends_all_the_time", "every piece says stop", "^chat-stream/finish", with_chunks(
    lambda chunks: [one.update(finish_reason="stop") for chunk in chunks for one in chunk["choices"]] and chunks))
changes_stream("loses_a_piece", "a piece of the answer is lost", "^chat-stream/pieces", with_chunks(lambda chunks: chunks[:3] + chunks[4:]))
changes_stream("repeats_a_piece", "a piece of the answer comes twice", "^chat-stream/pieces", with_chunks(lambda chunks: chunks[:4] + chunks[3:]))
changes_stream("cut_characters", "pieces end within a character", "^texts/", with_chunks(
    lambda chunks: [one["delta"].update(content=one["delta"]["content"].encode()[:-1].decode(errors="replace"))
                    for chunk in chunks for one in chunk["choices"]
                    if not (one["delta"].get("content") or "a").isascii()] and chunks or chunks))
changes_stream("events_as_json", "a stream has the type of JSON", "^event-stream/content_type",
               lambda exchange: setattr(exchange, "headers", [(name, "application/json" if name == "content-type" else value) for name, value in exchange.headers]))
changes_stream("no_blank_lines", "events follow each other without a blank line", "^chat-stream/every",
               lambda exchange: setattr(exchange, "answer", exchange.answer.replace(b"\n\n", b"\n")))

# Other APIs: their streams have events of many types.
def changes_events(name, sentence, only, change):
    """change(objects) gives new ones, of streams whose events have types."""
    changes_stream(name, sentence, only, lambda exchange: exchange.set_typed_events(change(exchange.typed_events())))


drops("instructions", "^responses/instructions")
drops("max_output_tokens", "^responses/an_answer_that_was_cut|^responses/the_same")
drops("previous_response_id", "^responses/.*stored", "a response that is not there is gone on with")
drops("text", "^responses/a_text_follows", "the form of a response is read over")
drops("include", "^responses/logprobs")
changes_answer("stored_after_all", "a response is said to be stored, and is not", "^responses/what_is_not_stored",
               lambda value, _: value.get("object") == "response" and value.update(store=True))
changes_answer("cut_is_completed", "a response that was cut is said to be complete", "^responses/an_answer_that_was_cut",
               lambda value, _: "incomplete_details" in value and value.update(status="completed", incomplete_details=None))
changes_answer("calls_without_ids", "calls of a response have no call_id", "^responses/a_demanded|^responses/a_conversation",
               lambda value, _: [item.pop("call_id", None) for item in value.get("output", [])])
changes_events("unnumbered_events", "events have no numbers", "^response-stream/events_are",
               lambda events: [{**event, "sequence_number": 0} for event in events])
changes_events("lost_delta", "a delta is lost", "^response-stream/deltas_build_the_items",
               lambda events: events[:4] + events[5:])
changes_events("never_done", "items are added and never done", "^response-stream/every_item",
               lambda events: [event for event in events if event["type"] != "response.output_item.done"])
changes_events("no_last_response", "a stream ends without its response", "^response-stream/a_stream_ends", lambda events: events[:-1])
drops("system", "^anthropic/a_system")
drops("stop_sequences", "^anthropic/a_stop")
drops("output_config", "^anthropic/a_text_follows")
changes_answer("end_turn_always", "every message ends its turn", "^anthropic/(an_answer|a_demanded|a_stop)",
               lambda value, _: "stop_reason" in value and value.update(stop_reason="end_turn"))
changes_answer("input_as_text", "the input of a call is a text", "^anthropic/a_demanded",
               lambda value, _: [block.update(input=json.dumps(block["input"])) for block in value.get("content", []) if block["type"] == "tool_use"])
changes_answer("counts_nothing", "tokens are counted as none", "^anthropic/tokens", lambda value, _: set(value) == {"input_tokens"} and value.update(input_tokens=0))
changes_events("no_message_stop", "a message's stream has no message_stop", "^anthropic/a_stream",
               lambda events: [event for event in events if event["type"] != "message_stop"])
changes_events("blocks_from_1", "blocks are counted from 1", "^anthropic/deltas",
               lambda events: [{**event, "index": 1} if "index" in event else event for event in events])

# Errors.
changes_error("errors_of_openai", "errors of messages have the shape of another API", "^anthropic/an_error",
              lambda exchange, value: exchange.set_object({"error": value["error"]}))
changes_error("errors_with_200", "errors come with status 200", "^refusals/temp", lambda exchange, _: setattr(exchange, "status", 200))
changes_error("errors_with_500", "what is wrong with a request is a server error", "^bodies/a_body", lambda exchange, _: setattr(exchange, "status", 500))
changes_error("bare_errors", "errors stand outside of \"error\"", "^refusals/an_error", lambda exchange, value: exchange.set_object(value["error"]))
changes_error("codes_as_numbers", "code is the status", "^refusals/code",
              lambda exchange, value: exchange.set_object({"error": {**value["error"], "code": exchange.status}}))
changes_error("no_param", "param is left out", "^refusals/(an_error|param)", lambda exchange, value: (value["error"].pop("param"), exchange.set_object(value)))
changes_error("no_allow", "a 405 names no methods", "^http/a_405",
              lambda exchange, _: setattr(exchange, "headers", [pair for pair in exchange.headers if pair[0] != "allow"]))
changes_error("missing_in_html", "a 404 is a page of HTML", "^http/a_path", lambda exchange, _: setattr(exchange, "answer", b"<h1>Not Found</h1>"))
add(Fault("head_has_body", "HEAD is answered with a body", "^http/head")).head_has_body = True
add(Fault("short_length", "Content-Length is one too small", "^(models|chat)/")).missing_bytes = 1
