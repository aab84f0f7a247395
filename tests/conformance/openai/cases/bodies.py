"""Bodies as JSON has them: what is none is refused, and nobody falls over it."""
import json

from sheet import Area, equal, expect
from target import CHAT, QUESTION

area = Area("bodies")


def status_of(t, body, **headers):
    return t.post(CHAT, body, headers=headers).status


def body_of(t, **fields):
    return json.dumps({"model": t.model, "messages": QUESTION, "max_tokens": 2, **fields})


def refused(t, body):
    reply = t.post(CHAT, body)
    equal(reply.status, 400, "status")
    expect(isinstance(reply.json()["error"]["message"], str), "an error", reply.body)


@area.case("RFC 8259 2 JSON grammar")
def a_body_that_is_no_json(t):
    refused(t, b"{messages: []}")


@area.case("RFC 8259 2 JSON grammar")
def a_body_that_ends_too_early(t):
    refused(t, body_of(t).encode()[:-1])


@area.case("RFC 8259 2 JSON grammar: one value")
def a_body_that_goes_on(t):
    refused(t, body_of(t).encode() + b" {}")


@area.case("RFC 8259 4 objects: no comma at the end")
def a_comma_too_many(t):
    refused(t, body_of(t).encode()[:-1] + b",}")


@area.case("RFC 8259 6 numbers: no leading zeros")
def a_number_with_a_leading_zero(t):
    refused(t, body_of(t).encode()[:-1] + b', "seed": 007}')


@area.case("RFC 8259 6 numbers: NaN is not permitted")
def a_number_that_is_none(t):
    refused(t, body_of(t).encode()[:-1] + b', "temperature": NaN}')


@area.case("RFC 8259 6 numbers: range")
def a_number_beyond_all_range_is_no_crash(t):
    expect(status_of(t, body_of(t).encode()[:-1] + b', "temperature": 1e400}') == 400, "400", "another status")


@area.case("RFC 8259 7 strings: control characters are escaped")
def a_bare_line_break_in_a_string(t):
    refused(t, body_of(t).replace("KV cache", "KV\ncache").encode())


@area.case("CreateChatCompletionRequest.required")
def a_body_that_is_a_list(t):
    refused(t, b"[]")


@area.case("CreateChatCompletionRequest.required")
def an_empty_body(t):
    refused(t, b"")


@area.case("RFC 8259 8.1 JSON text MUST be UTF-8")
def a_body_that_is_no_utf_8(t):
    refused(t, body_of(t).replace("KV", "K@V").encode().replace(b"@", b"\xff\xfe"))


@area.case("RFC 8259 9 limits on depth")
def ten_thousand_nested_lists_are_refused(t):
    refused(t, b"[" * 10000 + b"]" * 10000)


@area.case("RFC 8259 9 limits on depth")
def a_field_of_ten_thousand_nested_objects_is_refused(t):
    refused(t, body_of(t).encode()[:-1] + b', "metadata": ' + b'{"a":' * 10000 + b"1" + b"}" * 10001)


@area.case("RFC 8259 2 insignificant whitespace")
def whitespace_between_tokens(t):
    equal(status_of(t, b" \r\n\t" + json.dumps(json.loads(body_of(t)), indent=3).encode() + b"\n\n"), 200, "status")


@area.case("RFC 8259 7 strings: escapes")
def escapes_are_characters(t):
    plain, escaped = (t.post(CHAT, body_of(t, temperature=0).replace("cache", word).encode()).json() for word in ("cache", "\\u0063ache"))
    equal(escaped["choices"], plain["choices"], "the answer")


@area.case("RFC 8259 11 application/json has no charset parameter")
def a_charset_parameter_is_ignored(t):
    equal(status_of(t, body_of(t).encode(), **{"Content-Type": "application/json; charset=utf-8"}), 200, "status")


@area.case("RFC 8259 11 the media type is application/json")
def answers_are_application_json(t):
    for reply in (t.post(CHAT, body_of(t).encode()), t.get("/v1/models"), t.post(CHAT, b"{")):
        equal(reply.header("content-type", "").partition(";")[0].strip(), "application/json", "content-type")


@area.case("RFC 8259 8.1 no byte order mark is added")
def answers_have_no_byte_order_mark(t):
    expect(not t.get("/v1/models").body.startswith(b"\xef\xbb\xbf"), "none", "one")


@area.case("RFC 9110 15.6 a server error says that the server failed")
def the_server_answers_after_all_of_this(t):
    equal(status_of(t, body_of(t).encode()), 200, "status")
