"""Server-sent events: what goes over the wire when an answer is streamed."""
import json

from sheet import Area, equal, expect
from target import CHAT, QUESTION, Stream

area = Area("event-stream")
SSE = "WHATWG HTML 9.2"


@area.case(f"{SSE}.5 event streams have the type text/event-stream")
def content_type(t):
    kind = t.chat_stream().reply.header("content-type", "")
    equal(kind.partition(";")[0].strip().lower(), "text/event-stream", "content-type")


@area.case(f"{SSE}.5 the encoding is always UTF-8")
def every_event_is_utf_8_by_itself(t):
    for event in t.chat_stream(max_tokens=40, temperature=2, seed=1).events:
        event.raw.decode("utf-8")


@area.case(f"{SSE}.5 the file is made of lines 'field: value' and blank lines")
def every_line_is_a_field_or_a_comment(t):
    for event in t.chat_stream().events:
        for name, _ in event.fields:
            expect(name in ("data", "event", "id", "retry"), "data, event, id or retry", name)


@area.case("CreateChatCompletionRequest.stream")
def events_are_data_only(t):
    names = {name for event in t.chat_stream().events for name, _ in event.fields}
    equal(names, {"data"}, "fields")


@area.case("CreateCompletionRequest.stream")
def the_stream_ends_with_done(t):
    stream = t.chat_stream()
    expect(stream.done, "[DONE] last", stream.events[-1].raw)


@area.case("CreateCompletionRequest.stream")
def done_comes_once(t):
    equal(sum(event.data == "[DONE]" for event in t.chat_stream().events), 1, "how often [DONE] comes")


@area.case(f"{SSE}.6 an event is dispatched at a blank line")
def the_last_event_ends_with_a_blank_line(t):
    body = t.chat_stream().reply.body
    expect(body.replace(b"\r\n", b"\n").endswith(b"\n\n"), "a blank line at the end", body[-20:])


@area.case(f"{SSE}.6 each line of data is appended")
def each_event_has_one_object(t):
    for event in t.chat_stream().events:
        if event.fields:
            equal(sum(name == "data" for name, _ in event.fields), 1, "lines of data in an event")


@area.case(f"{SSE}.5 a BOM may come once, at the beginning")
def no_bom_inside(t):
    body = t.chat_stream().reply.body
    expect(b"\xef\xbb\xbf" not in body[1:], "no byte order mark", body[:40])


@area.case("RFC 9112 7.1 chunked transfer coding")
def a_stream_over_http_1_1_is_chunked_or_ends_the_connection(t):
    reply = t.chat_stream().reply
    expect(reply.chunks is not None or reply.closed, "chunks", reply.headers)


@area.case("RFC 9112 6.1 no Transfer-Encoding to HTTP/1.0")
def a_stream_over_http_1_0_is_not_chunked(t):
    reply = t.post(CHAT, {"model": t.model, "messages": QUESTION, "max_tokens": 4, "stream": True, "temperature": 0}, version="1.0")
    equal(reply.header("transfer-encoding"), None, "transfer-encoding")
    expect(Stream(reply).done, "a stream that ends with [DONE]", reply.body[-80:])


@area.case("RFC 9112 9.3 persistence")
def a_connection_goes_on_after_a_stream(t):
    body = json.dumps({"model": t.model, "messages": QUESTION, "max_tokens": 4, "stream": True}).encode()
    with t.wire.connect() as connection:
        for _ in range(2):
            connection.send(t.wire.head("POST", CHAT, body) + body)
            reply = connection.reply("POST")
            equal(reply.status, 200, "status")
            if reply.header("connection", "").lower() == "close":
                return
