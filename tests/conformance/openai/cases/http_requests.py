"""HTTP semantics (RFC 9110): methods, statuses and the headers that go with them."""
import json
import time
from email.utils import parsedate_to_datetime

from sheet import Area, equal, expect
from target import CHAT, QUESTION

area = Area("http")


def chat_body(t, **fields):
    return json.dumps({"model": t.model, "messages": QUESTION, "max_tokens": 2, **fields}).encode()


def is_error(reply):
    expect(isinstance(reply.json()["error"]["message"], str), "an error object", reply.body)


@area.case("RFC 9110 9.3.2 HEAD")
def head_is_answered_as_get_without_a_body(t):
    with t.wire.connect() as connection:
        connection.send(t.wire.head("HEAD", "/v1/models"))
        equal(connection.reply("HEAD").status, 200, "status")
        connection.send(t.wire.head("GET", "/v1/models"))  # what is left of a body would spoil the next answer
        equal(connection.reply("GET").status, 200, "status of the next request")


@area.case("RFC 9110 15.5.5 404")
def a_path_that_is_not_there_is_404_with_an_error(t):
    reply = t.get("/v1/nowhere")
    equal(reply.status, 404, "status")
    is_error(reply)


@area.case("RFC 9110 15.5.6 405")
def a_method_that_a_path_does_not_take_is_405(t):
    equal(t.get(CHAT).status, 405, "status")


@area.case("RFC 9110 15.5.6 405 MUST generate Allow")
def a_405_names_the_methods_that_are_allowed(t):
    reply = t.wire.request("DELETE", CHAT)
    equal(reply.status, 405, "status")
    expect("POST" in reply.header("allow", ""), "Allow: POST", reply.headers)


@area.case("RFC 9110 9.1 methods: 501 or 405; 15.5.1 400")
def an_unknown_method_is_refused(t):
    status = t.wire.request("BREW", "/v1/models").status
    expect(status in (501, 405, 400), "501, 405 or 400", status)


@area.case("RFC 9110 9.1 methods are case-sensitive")
def a_method_in_lower_case_is_another_method(t):
    status = t.wire.request("get", "/v1/models").status
    expect(status in (400, 405, 501), "400, 405 or 501", status)


@area.case("RFC 9110 6.6.1 Date")
def answers_have_a_date(t):
    for reply in (t.get("/v1/models"), t.get("/v1/nowhere")):
        date = reply.header("date")
        expect(date is not None, "a Date header", reply.headers)
        expect(abs(parsedate_to_datetime(date).timestamp() - time.time()) < 86400, "now", date)


@area.case("RFC 9110 5.1 field names are case-insensitive")
def names_of_headers_in_any_case(t):
    body = chat_body(t)
    reply = t.post(CHAT, body, headers={"Content-Length": None, "cOnTeNt-lEnGtH": len(body)})
    equal(reply.status, 200, "status")


@area.case("RFC 9110 5.5 whitespace around values is no part of them")
def whitespace_around_values(t):
    body = chat_body(t)
    equal(t.post(CHAT, body, headers={"Content-Length": f"  {len(body)}\t"}).status, 200, "status")


@area.case("RFC 9110 10.1.1 Expect: 100-continue")
def expect_100_continue_is_answered_before_the_body(t):
    body = chat_body(t)
    with t.wire.connect() as connection:
        connection.send(t.wire.head("POST", CHAT, body, {"Expect": "100-continue"}))
        equal(connection.reply("POST", interim=True).status, 100, "the first status")
        connection.send(body)
        equal(connection.reply("POST").status, 200, "status")


@area.case("RFC 9110 10.1.1 Expect: values are case-insensitive")
def expect_in_upper_case(t):
    body = chat_body(t)
    with t.wire.connect() as connection:
        connection.send(t.wire.head("POST", CHAT, body, {"Expect": "100-CONTINUE"}))
        equal(connection.reply("POST", interim=True).status, 100, "the first status")
        connection.send(body)
        equal(connection.reply("POST").status, 200, "status")


@area.case("RFC 9110 10.1.1 Expect to HTTP/1.0 is ignored")
def no_100_to_a_client_of_http_1_0(t):
    body = chat_body(t)
    with t.wire.connect() as connection:
        connection.send(t.wire.head("POST", CHAT, body, {"Expect": "100-continue"}, "1.0") + body)
        equal(connection.reply("POST", interim=True).status, 200, "the first status")


@area.case("RFC 9110 15.5.14 413")
def a_body_of_a_terabyte_is_refused_before_it_is_sent(t):
    with t.wire.connect() as connection:
        connection.send(t.wire.head("POST", CHAT, b"", {"Content-Length": 1 << 40, "Content-Type": "application/json", "Expect": "100-continue"}))
        equal(connection.reply("POST", interim=True).status, 413, "the first status")


@area.case("RFC 9110 15.5.14 413")
def a_body_that_is_too_large_is_refused_with_an_error(t):
    with t.wire.connect() as connection:
        connection.send(t.wire.head("POST", CHAT, b"", {"Content-Length": 1 << 40, "Content-Type": "application/json"}))
        reply = connection.reply("POST")
        equal(reply.status, 413, "status")
        is_error(reply)


@area.case("RFC 9110 15.5.15 414; RFC 9112 3 request line")
def a_target_that_is_too_long_is_414(t):
    equal(t.get("/v1/" + "x" * 200000).status, 414, "status")


@area.case("RFC 6585 5 431; RFC 9110 5.4 field limits")
def headers_that_are_too_large_are_a_client_error(t):
    with t.wire.connect() as connection:
        try:
            connection.send(t.wire.head("GET", "/v1/models", headers={f"X-Filler-{i}": "y" * 4000 for i in range(300)}))
        except ConnectionError:
            pass
        status = connection.reply().status
        expect(status in (400, 431), "431 or 400", status)


@area.case("RFC 3986 3.4 query")
def a_query_does_not_change_the_path(t):
    equal(t.get("/v1/models?after=x").status, 200, "status")


@area.case("RFC 3986 6.2.2.2 percent-encoding of unreserved characters")
def a_path_with_percent_signs_is_the_same_path(t):
    equal(t.get("/v1/model%73").status, 200, "status")


@area.case("RFC 9110 12.5.1 Accept")
def any_accept_that_allows_json_is_fine(t):
    equal(t.get("/v1/models", headers={"Accept": "application/json, */*;q=0.1"}).status, 200, "status")


@area.case("RFC 9110 8.6 Content-Length")
def content_length_is_that_of_the_body(t):
    for path in ("/v1/models", "/v1/nowhere"):
        reply = t.get(path)
        expect(reply.chunks is not None or reply.header("content-length") == str(len(reply.body)), f"{len(reply.body)}", reply.headers)


@area.case("OpenAI API reference, debugging requests: x-request-id")
def every_answer_has_a_request_id(t):
    ids = [t.get("/v1/models").header("x-request-id"), t.post(CHAT, b"{").header("x-request-id"), t.get("/v1/nowhere").header("x-request-id")]
    expect(all(ids) and len(set(ids)) == 3, "three ids", ids)
