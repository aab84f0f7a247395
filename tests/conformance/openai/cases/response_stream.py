"""Responses in events: their order, and that they say what the whole response says."""
from sheet import Area, equal, expect
from target import RESPONSES, split_events
from cases.responses import CALLING

area = Area("response-stream")
FAILED = ("response.failed", "response.incomplete", "response.completed")


def events(t, **fields):
    return t.response_events(**fields)


def untold(items):
    """Without what is new in every response."""
    return [{key: value for key, value in item.items() if key not in ("id", "call_id")} for item in items]


def built(told):
    """The items as events alone build them."""
    items = []
    for event in told:
        kind = event["type"]
        if kind == "response.output_item.added":
            equal(event["output_index"], len(items), "output_index")
            items.append({**event["item"]})
        elif kind == "response.content_part.added":
            items[event["output_index"]].setdefault("content", []).append({**event["part"]})
        elif kind in ("response.output_text.delta", "response.reasoning_text.delta"):
            items[event["output_index"]]["content"][event["content_index"]]["text"] += event["delta"]
        elif kind == "response.function_call_arguments.delta":
            items[event["output_index"]]["arguments"] += event["delta"]
        elif kind == "response.output_item.done":
            items[event["output_index"]]["status"] = event["item"]["status"]
    return items


@area.case("CreateResponse.stream")
def each_event_has_the_type_of_its_object(t):
    reply = t.response_reply(stream=True)
    for event in split_events(reply.body):
        names = [value for name, value in event.fields if name == "event"]
        if event.data is not None and event.data != "[DONE]":
            expect(len(names) == 1 and f'"type":"{names[0]}"' in event.data.replace('": "', '":"'), "event: TYPE", event.raw)


@area.case("ResponseCreatedEvent.response")
def a_stream_begins_with_the_response_that_was_created(t):
    first = events(t)[0]
    equal(first["type"], "response.created", "type")
    equal((first["response"]["object"], first["response"]["output"]), ("response", []), "object and output")


@area.case("ResponseInProgressEvent.type")
def then_it_is_in_progress(t):
    equal(events(t)[1]["type"], "response.in_progress", "type")


@area.case("ResponseCreatedEvent.sequence_number")
def events_are_numbered(t):
    equal([event["sequence_number"] for event in events(t)], list(range(len(events(t)))), "sequence_number")


@area.case("ResponseCompletedEvent.response")
def a_stream_ends_with_the_whole_response(t):
    told, whole = events(t), t.response()
    expect(told[-1]["type"] in FAILED, "response.completed or response.incomplete", told[-1]["type"])
    equal(untold(told[-1]["response"]["output"]), untold(whole["output"]), "output")
    equal(told[-1]["response"]["status"], whole["status"], "status")


@area.case("ResponseCompletedEvent.type")
def the_last_event_comes_once(t):
    equal(sum(event["type"] in FAILED for event in events(t)), 1, "how many ends there are")


@area.case("ResponseTextDeltaEvent.delta")
def deltas_build_the_items(t):
    told = events(t, max_output_tokens=40)
    equal(built(told), told[-1]["response"]["output"], "the items that events build")


@area.case("ResponseFunctionCallArgumentsDeltaEvent.delta")
def deltas_build_the_arguments_of_calls(t):
    told = events(t, **CALLING)
    expect(any(event["type"] == "response.function_call_arguments.delta" for event in told), "deltas of arguments", [event["type"] for event in told])
    equal(built(told), told[-1]["response"]["output"], "the items that events build")


@area.case("ResponseFunctionCallArgumentsDoneEvent.arguments")
def the_end_of_arguments_has_all_of_them(t):
    told = events(t, **CALLING)
    done = [event["arguments"] for event in told if event["type"] == "response.function_call_arguments.done"]
    equal(done, [item["arguments"] for item in told[-1]["response"]["output"] if item["type"] == "function_call"], "arguments")


@area.case("ResponseOutputItemDoneEvent.item")
def every_item_that_is_added_is_done(t):
    told = events(t)
    for begin, end in (("output_item.added", "output_item.done"), ("content_part.added", "content_part.done")):
        counts = [sum(event["type"] == f"response.{name}" for event in told) for name in (begin, end)]
        equal(counts[0], counts[1], f"{end} for each {begin}")
    done = [event["item"] for event in told if event["type"] == "response.output_item.done"]
    equal(done, told[-1]["response"]["output"], "the items that are done")


@area.case("ResponseTextDoneEvent.text")
def the_end_of_a_text_has_all_of_it(t):
    told = events(t)
    texts = [event["text"] for event in told if event["type"] == "response.output_text.done"]
    equal("".join(texts), "".join(event["delta"] for event in told if event["type"] == "response.output_text.delta"), "the text")


@area.case("ResponseTextDeltaEvent.item_id")
def deltas_name_their_item(t):
    told = events(t)
    ids = {event["item"]["id"] for event in told if event["type"] == "response.output_item.added"}
    expect({event["item_id"] for event in told if "item_id" in event} <= ids, "ids of items", ids)


@area.case("CreateResponse.stream")
def what_is_wrong_is_refused_before_the_stream(t):
    t.refused(RESPONSES, {"model": t.model, "input": "hi", "stream": True, "temperature": 7})
