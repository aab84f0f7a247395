"""API keys; these count when one is given with --key."""
import base64

from sheet import Area, equal, expect
from target import CHAT, QUESTION

area = Area("keys", lambda t: t.key is not None, of_spec=False)


def status_of(t, authorization):
    return t.post(CHAT, {"model": t.model, "messages": QUESTION, "max_tokens": 1}, headers={"Authorization": authorization}).status


@area.case("OpenAI API reference, authentication: 401")
def no_key_is_401(t):
    equal(status_of(t, None), 401, "status")


@area.case("OpenAI API reference, authentication: 401")
def a_wrong_key_is_401(t):
    for key in (t.key + "x", t.key[:-1], t.key.swapcase(), ""):
        equal(status_of(t, f"Bearer {key}"), 401, f"status of the key {key!r}")


@area.case("Error.required")
def a_401_is_an_error_like_all_others(t):
    error = t.get("/v1/models", headers={"Authorization": None}).json()["error"]
    expect({"type", "message", "param", "code"} <= set(error), "type, message, param, code", error)


@area.case("OpenAI API reference, errors: invalid_api_key")
def a_wrong_key_has_its_code(t):
    equal(t.get("/v1/models", headers={"Authorization": "Bearer wrong"}).json()["error"]["code"], "invalid_api_key", "code")


@area.case("RFC 9110 15.5.2 401 MUST send WWW-Authenticate")
def a_401_says_how_to_authenticate(t):
    reply = t.get("/v1/models", headers={"Authorization": None})
    equal(reply.status, 401, "status")
    expect("bearer" in reply.header("www-authenticate", "").lower(), "WWW-Authenticate: Bearer", reply.headers)


@area.case("RFC 9110 11.1 the scheme is case-insensitive")
def bearer_in_any_case(t):
    equal(status_of(t, f"bearer {t.key}"), 200, "status")


@area.case("RFC 9110 11.4 credentials: another scheme")
def another_scheme_is_401(t):
    equal(status_of(t, f"Basic {t.key}"), 401, "status")


@area.case("OpenAI API reference, authentication")
def every_path_is_guarded(t):
    for path in ("/", "/v1/models", "/v1/models/x", "/metrics", "/v1/nowhere"):
        equal(t.get(path, headers={"Authorization": None}).status, 401, f"status of {path}")
    for path in ("/v1/completions", "/v1/embeddings", "/v1/responses", "/tokenize", "/detokenize", "/apply-template"):
        equal(t.post(path, b"{}", headers={"Authorization": None}).status, 401, f"status of {path}")


@area.case("RFC 9110 11.6.1 a challenge for each scheme that is accepted")
def a_browser_is_asked_for_a_password_only_where_one_serves(t):
    reply = t.get("/", headers={"Authorization": None, "Accept": "text/html"})
    if "basic" in ", ".join(value for name, value in reply.headers if name == "www-authenticate").lower():
        password = base64.b64encode(f"anybody:{t.key}".encode()).decode()
        equal(t.get("/v1/models", headers={"Authorization": f"Basic {password}"}).status, 200, "status with the key as a password")


@area.case("OpenAI API reference, authentication")
def a_key_is_not_told_back(t):
    reply = t.get("/v1/models", headers={"Authorization": "Bearer sesame-open"})
    expect(b"sesame-open" not in reply.body, "an error without the key", reply.body)
