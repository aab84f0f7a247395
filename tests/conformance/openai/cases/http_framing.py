"""HTTP/1.1 messages (RFC 9112): where one ends, and what must not be let through."""
from sheet import Area, equal, expect
from target import CHAT
from wire import WireError

from cases.http_requests import chat_body

area = Area("framing")


def answer_to(t, data, method="POST"):
    with t.wire.connect() as connection:
        connection.send(data)
        return connection.reply(method)


def refused(t, data, statuses=(400,)):
    """An answer of one of the statuses, or a connection that is closed without one."""
    try:
        status = answer_to(t, data).status
    except (WireError, ConnectionError):
        return
    expect(status in statuses, " or ".join(map(str, statuses)), status)


def chunked(body, size=50, extension=b"", trailer=b""):
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n" + trailer + b"\r\n"


def chunked_head(t, coding="chunked"):
    return t.wire.head("POST", CHAT, b"", {"Transfer-Encoding": coding, "Content-Type": "application/json"})


@area.case("RFC 9112 7.1 chunked transfer coding")
def a_body_in_chunks_is_read(t):
    equal(answer_to(t, chunked_head(t) + chunked(chat_body(t))).status, 200, "status")


@area.case("RFC 9112 7.1.1 chunk extensions are ignored")
def chunk_extensions_are_ignored(t):
    equal(answer_to(t, chunked_head(t) + chunked(chat_body(t), extension=b";name=value")).status, 200, "status")


@area.case("RFC 9112 7.1.2 trailer section")
def a_trailer_is_read_over(t):
    equal(answer_to(t, chunked_head(t) + chunked(chat_body(t), trailer=b"X-Sum: 1\r\n")).status, 200, "status")


@area.case("RFC 9112 7.1 the chunk size is hexadecimal in any case")
def chunk_sizes_in_upper_case(t):
    body = chat_body(t)
    body += b" " * (0xAB - len(body)) if len(body) < 0xAB else b""
    data = b"%X\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    equal(answer_to(t, chunked_head(t) + data).status, 200, "status")


@area.case("RFC 9112 7 transfer codings are case-insensitive")
def chunked_in_upper_case(t):
    equal(answer_to(t, chunked_head(t, "CHUNKED") + chunked(chat_body(t))).status, 200, "status")


@area.case("RFC 9112 7.1 chunked transfer coding")
def a_chunk_size_that_is_none_is_refused(t):
    refused(t, chunked_head(t) + b"xyz\r\n{}\r\n0\r\n\r\n")


@area.case("RFC 9112 7.1 recipients MUST anticipate large chunk sizes")
def a_chunk_size_that_overflows_is_refused(t):
    refused(t, chunked_head(t) + b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n", (400, 413))


@area.case("RFC 9112 6.1 unknown transfer codings: 501")
def an_unknown_transfer_coding_is_refused(t):
    refused(t, chunked_head(t, "roman, chunked") + chunked(chat_body(t)), (501, 400))


@area.case("RFC 9112 6.3 rule 4: chunked must be last")
def a_transfer_coding_that_does_not_end_with_chunked_is_refused(t):
    refused(t, chunked_head(t, "chunked, identity") + chunked(chat_body(t)), (400, 501))


@area.case("RFC 9112 6.3 rule 3; 11.2 request smuggling")
def both_lengths_are_refused_or_end_the_connection(t):
    head = t.wire.head("POST", CHAT, b"", {"Transfer-Encoding": "chunked", "Content-Length": 5, "Content-Type": "application/json"})
    with t.wire.connect() as connection:
        connection.send(head + chunked(chat_body(t)))
        try:
            status = connection.reply("POST").status
        except (WireError, ConnectionError):
            return
        expect(status == 400 or connection.is_closed(2.0), "400, or a connection that is closed", status)


@area.case("RFC 9112 6.3 rule 5: an invalid Content-Length is 400")
def a_content_length_that_is_none_is_refused(t):
    refused(t, t.wire.head("POST", CHAT, b"", {"Content-Length": "ten"}))


@area.case("RFC 9110 8.6 Content-Length has digits alone")
def a_content_length_with_a_sign_is_refused(t):
    body = chat_body(t)
    refused(t, t.wire.head("POST", CHAT, body, {"Content-Length": f"+{len(body)}"}) + body)


@area.case("RFC 9112 6.3 rule 5: several values that differ")
def two_content_lengths_that_differ_are_refused(t):
    body = chat_body(t)
    head = t.wire.head("POST", CHAT, body).replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n")
    refused(t, head + body)


@area.case("RFC 9112 3.2 MUST respond 400 to a request without Host")
def no_host_is_refused(t):
    refused(t, t.wire.head("GET", "/v1/models", headers={"Host": None}))


@area.case("RFC 9112 3.2 MUST respond 400 to more than one Host")
def two_hosts_are_refused(t):
    refused(t, t.wire.head("GET", "/v1/models").replace(b"\r\n\r\n", b"\r\nHost: elsewhere\r\n\r\n"))


@area.case("RFC 9112 5.1 no whitespace before the colon, MUST respond 400")
def whitespace_before_a_colon_is_refused(t):
    refused(t, t.wire.head("GET", "/v1/models").replace(b"\r\n\r\n", b"\r\nX-Name : value\r\n\r\n"))


@area.case("RFC 9110 5.5 CR, LF and NUL in values are refused or replaced")
def a_zero_byte_in_a_header_is_refused(t):
    refused(t, t.wire.head("GET", "/v1/models").replace(b"\r\n\r\n", b"\r\nX-Name: a\x00b\r\n\r\n"))


@area.case("RFC 9112 3 request line")
def a_request_line_that_is_none_is_refused(t):
    refused(t, b"hello\r\n\r\n")


@area.case("RFC 9112 2.3 HTTP version; RFC 9110 15.6.6 505")
def an_unknown_version_is_refused(t):
    refused(t, t.wire.head("GET", "/v1/models", version="7.3"), (400, 505))


@area.case("RFC 9112 3.2.2 absolute-form MUST be accepted")
def a_target_may_be_a_whole_url(t):
    data = t.wire.head("GET", "/v1/models").replace(b"GET /", b"GET http://%s:%d/" % (t.wire.host.encode(), t.wire.port))
    equal(answer_to(t, data, "GET").status, 200, "status")


@area.case("RFC 9112 2.2 an empty line before a request line is ignored")
def an_empty_line_first(t):
    equal(answer_to(t, b"\r\n" + t.wire.head("GET", "/v1/models"), "GET").status, 200, "status")


@area.case("RFC 9112 9.3 persistence")
def a_connection_takes_another_request(t):
    with t.wire.connect() as connection:
        for _ in range(3):
            connection.send(t.wire.head("GET", "/v1/models"))
            equal(connection.reply().status, 200, "status")


@area.case("RFC 9112 9.3.2 pipelining: answers in order")
def requests_at_once_are_answered_in_order(t):
    bodies = [chat_body(t, max_tokens=tokens, temperature=0) for tokens in (9, 1)]
    with t.wire.connect() as connection:
        connection.send(b"".join(t.wire.head("POST", CHAT, body) + body for body in bodies) + t.wire.head("GET", "/v1/models"))
        first, second, third = (connection.reply(method).json() for method in ("POST", "POST", "GET"))
        expect(first["usage"]["completion_tokens"] >= second["usage"]["completion_tokens"] == 1, "9 tokens, then 1", [first["usage"], second["usage"]])
        equal(third["object"], "list", "the third answer's object")


@area.case("RFC 9112 9.6 Connection: close")
def a_client_that_says_close_is_closed(t):
    with t.wire.connect() as connection:
        connection.send(t.wire.head("GET", "/v1/models", headers={"Connection": "close"}))
        reply = connection.reply()
        equal(reply.header("connection", "").lower(), "close", "connection")
        expect(reply.closed or connection.is_closed(), "a closed connection", "an open one")


@area.case("RFC 9112 9.3 HTTP/1.0 closes unless told to keep")
def a_client_of_http_1_0_is_closed(t):
    with t.wire.connect() as connection:
        connection.send(t.wire.head("GET", "/v1/models", version="1.0"))
        equal(connection.reply().status, 200, "status")
        expect(connection.is_closed(), "a closed connection", "an open one")


@area.case("RFC 9112 9.3 persistence")
def a_connection_goes_on_after_a_refusal(t):
    with t.wire.connect() as connection:
        connection.send(t.wire.head("POST", CHAT, b"{") + b"{")
        reply = connection.reply("POST")
        equal(reply.status, 400, "status")
        if reply.header("connection", "").lower() != "close":
            connection.send(t.wire.head("GET", "/v1/models"))
            equal(connection.reply().status, 200, "status of the next request")


@area.case("RFC 9112 6.3 a request without a length has no body")
def a_post_without_a_body_is_no_wait(t):
    status = answer_to(t, t.wire.head("POST", CHAT)).status
    expect(status in (400, 411), "400 or 411", status)


@area.case("RFC 9112 8 incomplete messages")
def a_request_that_is_cut_off_does_not_hurt_the_next(t):
    with t.wire.connect() as connection:
        connection.send(t.wire.head("POST", CHAT, b"x" * 100) + b"half")
    equal(t.get("/v1/models").status, 200, "status")
