"""Log-probabilities of chat completions: their shape, and the sums that probabilities must obey."""
import math

from sheet import Area, equal, expect

area = Area("logprobs")
REQUEST, TOKEN, RESPONSE = "CreateChatCompletionRequest", "ChatCompletionTokenLogprob", "CreateChatCompletionResponse"


def tokens(t, **fields):
    return t.chat(logprobs=True, **fields)["choices"][0]["logprobs"]["content"]


@area.case(f"{RESPONSE}.choices.items.properties.logprobs.anyOf")
def logprobs_have_content_and_refusal(t):
    found = t.chat(logprobs=True)["choices"][0]["logprobs"]
    expect(isinstance(found["content"], list), "a list as content", found)
    expect("refusal" in found, "content and refusal, which are required", list(found))


@area.case(f"{REQUEST}.logprobs")
def each_token_of_the_answer_has_one(t):
    answer = t.chat(logprobs=True, max_tokens=6)
    count = len(answer["choices"][0]["logprobs"]["content"])
    expect(answer["usage"]["completion_tokens"] - 1 <= count <= answer["usage"]["completion_tokens"], f"as many as {answer['usage']}", count)


@area.case(f"{REQUEST}.logprobs")
def logprobs_false_gives_null(t):
    choice = t.chat(logprobs=False)["choices"][0]
    expect("logprobs" in choice and choice["logprobs"] is None, "null", choice.get("logprobs", "no such member"))


@area.case(f"{REQUEST}.logprobs")
def asking_for_logprobs_does_not_change_the_answer(t):
    equal(t.text(logprobs=True, top_logprobs=5, max_tokens=20), t.text(max_tokens=20), "the answer")


@area.case(f"{TOKEN}.logprob")
def a_logprob_is_at_most_0(t):
    for token in tokens(t, temperature=1, seed=1):
        expect(isinstance(token["logprob"], (int, float)) and token["logprob"] <= 0, "a number of at most 0", token)


@area.case(f"{TOKEN}.token")
def tokens_join_to_the_answer(t):
    answer = t.chat(logprobs=True, max_tokens=12)["choices"][0]
    data = b"".join(bytes(one["bytes"]) for one in answer["logprobs"]["content"])
    equal("".join(one["token"] for one in answer["logprobs"]["content"]) if data.isascii() else data.decode(errors="replace"),
          answer["message"]["content"], "the tokens joined")


@area.case(f"{TOKEN}.bytes")
def bytes_are_those_of_the_answer(t):
    answer = t.chat(logprobs=True, max_tokens=12)["choices"][0]
    found = b"".join(bytes(one["bytes"]) for one in answer["logprobs"]["content"])
    equal(found.decode(errors="replace"), answer["message"]["content"], "the bytes joined")


@area.case(f"{TOKEN}.required")
def top_logprobs_is_there_even_when_none_were_asked(t):
    for token in tokens(t):
        equal(token["top_logprobs"], [], "top_logprobs")


@area.case(f"{REQUEST}.top_logprobs")
def as_many_top_logprobs_as_asked(t):
    for token in tokens(t, top_logprobs=5):
        equal(len(token["top_logprobs"]), 5, "the number of top_logprobs")


@area.case(f"{REQUEST}.top_logprobs")
def twenty_are_the_most(t):
    for token in tokens(t, top_logprobs=20, max_tokens=2):
        equal(len(token["top_logprobs"]), 20, "the number of top_logprobs")


@area.case(f"{REQUEST}.top_logprobs")
def top_logprobs_0_gives_none(t):
    for token in tokens(t, top_logprobs=0):
        equal(token["top_logprobs"], [], "top_logprobs")


@area.case(f"{TOKEN}.top_logprobs")
def top_logprobs_are_the_likeliest_first(t):
    for token in tokens(t, top_logprobs=8, temperature=1, seed=2):
        found = [one["logprob"] for one in token["top_logprobs"]]
        equal(found, sorted(found, reverse=True), "top_logprobs in their order")


@area.case(f"{TOKEN}.top_logprobs")
def top_logprobs_add_up_to_no_more_than_1(t):
    for token in tokens(t, top_logprobs=20, temperature=1, seed=2):
        total = sum(math.exp(one["logprob"]) for one in token["top_logprobs"])
        expect(total <= 1.0001, "at most 1", total)


@area.case(f"{TOKEN}.top_logprobs")
def top_logprobs_name_each_token_once(t):
    for token in tokens(t, top_logprobs=10):
        names = [tuple(one["bytes"] or []) + (one["token"],) for one in token["top_logprobs"]]
        equal(len(set(names)), len(names), "the number of different tokens")


@area.case(f"{TOKEN}.top_logprobs")
def a_chosen_token_has_the_same_logprob_among_the_top(t):
    for token in tokens(t, top_logprobs=20, temperature=1, seed=6):
        same = [one["logprob"] for one in token["top_logprobs"] if one["token"] == token["token"] and one["bytes"] == token["bytes"]]
        expect(not same or any(abs(one - token["logprob"]) < 1e-4 for one in same), f"{token['logprob']}", same)


@area.case(f"{TOKEN}.top_logprobs")
def a_token_that_is_drawn_is_no_likelier_than_the_likeliest(t):
    for token in tokens(t, top_logprobs=1, temperature=2, seed=8):
        expect(token["logprob"] <= token["top_logprobs"][0]["logprob"] + 1e-4, f"at most {token['top_logprobs'][0]}", token["logprob"])


@area.case(f"{TOKEN}.top_logprobs.items.required")
def top_logprobs_have_token_logprob_and_bytes(t):
    for token in tokens(t, top_logprobs=2, max_tokens=2):
        for one in token["top_logprobs"]:
            expect({"token", "logprob", "bytes"} <= set(one), "token, logprob, bytes", list(one))


@area.case(f"{TOKEN}.top_logprobs.items.properties.bytes")
def bytes_of_a_top_token_spell_it(t):
    for token in tokens(t, top_logprobs=10):
        for one in token["top_logprobs"]:
            if one["bytes"] is not None and "\ufffd" not in one["token"]:
                equal(bytes(one["bytes"]).decode(errors="replace"), one["token"], "bytes")


@area.case(f"{REQUEST}.logprobs")
def each_choice_has_its_own(t):
    for choice in t.chat(logprobs=True, n=2, temperature=1.5, seed=5)["choices"]:
        found = b"".join(bytes(one["bytes"]) for one in choice["logprobs"]["content"]).decode(errors="replace")
        equal(found, choice["message"]["content"], f"the tokens of choice {choice['index']}")


@area.case("StopConfiguration")
def logprobs_of_an_answer_that_was_stopped_begin_with_the_answer(t):
    messages, text = t.long_answer()
    choice = t.chat(messages=messages, max_tokens=60, stop=text[15:19], logprobs=True)["choices"][0]
    found = b"".join(bytes(one["bytes"]) for one in choice["logprobs"]["content"]).decode(errors="replace")
    expect(found.startswith(choice["message"]["content"]), f"{choice['message']['content']!r} first", found)
