"""Chat completions told whole: the object and its members."""
import time

from sheet import Area, equal, expect
from target import CHAT, QUESTION

area = Area("chat")
RESPONSE, MESSAGE, REQUEST = "CreateChatCompletionResponse", "ChatCompletionResponseMessage", "CreateChatCompletionRequest"


@area.case(f"{RESPONSE}.id")
def id_is_unique(t):
    ids = [t.chat(max_tokens=1)["id"] for _ in range(3)]
    expect(all(isinstance(one, str) and one for one in ids), "texts", ids)
    equal(len(set(ids)), 3, "the number of different ids")


@area.case(f"{RESPONSE}.object")
def object_is_chat_completion(t):
    equal(t.chat()["object"], "chat.completion")


@area.case(f"{RESPONSE}.created")
def created_is_now_in_whole_seconds(t):
    created = t.chat()["created"]
    expect(type(created) is int and abs(created - time.time()) < 86400, f"about {int(time.time())}", created)


@area.case(f"{RESPONSE}.model")
def model_is_the_one_that_was_asked(t):
    equal(t.chat()["model"], t.model, "model")


@area.case(f"{RESPONSE}.choices")
def one_choice_unless_told(t):
    equal([one["index"] for one in t.chat()["choices"]], [0], "indices")


@area.case(f"{RESPONSE}.choices.items.properties.finish_reason.enum")
def finish_reason_is_one_of_five(t):
    reason = t.chat()["choices"][0]["finish_reason"]
    expect(reason in ("stop", "length", "tool_calls", "content_filter", "function_call"), "stop, length, ...", reason)


@area.case(f"{RESPONSE}.choices.items.properties.finish_reason")
def an_answer_that_reaches_max_tokens_ends_with_length(t):
    answer = t.chat(max_tokens=3)
    if answer["usage"]["completion_tokens"] == 3:
        equal(answer["choices"][0]["finish_reason"], "length", "finish_reason")
    else:
        equal(answer["choices"][0]["finish_reason"], "stop", "finish_reason")


@area.case(f"{RESPONSE}.choices.items.required")
def choice_has_logprobs_even_when_none_were_asked(t):
    choice = t.chat()["choices"][0]
    expect("logprobs" in choice, "logprobs: null", list(choice))
    equal(choice["logprobs"], None, "logprobs")


@area.case(f"{MESSAGE}.role")
def role_is_assistant(t):
    equal(t.chat()["choices"][0]["message"]["role"], "assistant", "role")


@area.case(f"{MESSAGE}.content")
def content_is_a_text(t):
    content = t.chat()["choices"][0]["message"]["content"]
    expect(isinstance(content, str), "a text", content)


@area.case(f"{MESSAGE}.required")
def refusal_is_there_and_null(t):
    message = t.chat()["choices"][0]["message"]
    expect("refusal" in message, "role, content and refusal, which are required", list(message))
    equal(message["refusal"], None, "refusal")


@area.case("CompletionUsage.total_tokens")
def total_is_prompt_plus_completion(t):
    usage = t.chat()["usage"]
    expect(all(type(usage[key]) is int for key in ("prompt_tokens", "completion_tokens", "total_tokens")), "whole numbers", usage)
    equal(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"], "total_tokens")


@area.case("CompletionUsage.prompt_tokens")
def prompt_tokens_grow_with_the_prompt(t):
    short = t.chat(max_tokens=1)["usage"]["prompt_tokens"]
    messages = [{"role": "user", "content": QUESTION[0]["content"] + " One two three four five six seven."}]
    expect(t.chat(messages=messages, max_tokens=1)["usage"]["prompt_tokens"] >= short + 4, f"at least {short + 4}", short)


@area.case("CompletionUsage.prompt_tokens")
def prompt_tokens_do_not_depend_on_what_was_asked_before(t):
    equal(len({t.chat(max_tokens=1)["usage"]["prompt_tokens"] for _ in range(3)}), 1, "the number of different counts")


@area.case("CompletionUsage.completion_tokens")
def completion_tokens_of_all_choices_count(t):
    one = t.chat(n=1)["usage"]
    three = t.chat(n=3)["usage"]
    equal(three["prompt_tokens"], one["prompt_tokens"], "prompt_tokens with n = 3")
    equal(three["completion_tokens"], 3 * one["completion_tokens"], "completion_tokens of three equal answers")


@area.case(f"{REQUEST}.max_completion_tokens")
def max_completion_tokens_bounds_the_answer(t):
    usage = t.answer(CHAT, {"messages": QUESTION, "max_completion_tokens": 5, "temperature": 0})["usage"]
    expect(1 <= usage["completion_tokens"] <= 5, "1 to 5 tokens", usage)


@area.case(f"{REQUEST}.max_tokens")
def max_tokens_bounds_the_answer(t):
    usage = t.chat(max_tokens=2)["usage"]
    expect(1 <= usage["completion_tokens"] <= 2, "1 or 2 tokens", usage)


@area.case(f"{REQUEST}.max_tokens")
def a_shorter_answer_is_the_longer_one_cut(t):
    short, long = t.text(max_tokens=6), t.text(max_tokens=12)
    expect(long.startswith(short.rstrip("\ufffd")), f"a beginning of {long!r}", short)


@area.case(f"{REQUEST}.n")
def n_answers_with_indices(t):
    choices = t.chat(n=3, temperature=1, seed=5)["choices"]
    equal(sorted(one["index"] for one in choices), [0, 1, 2], "indices")
    expect(all(isinstance(one["message"]["content"], str) for one in choices), "a text in each", choices)


@area.case(f"{REQUEST}.n")
def answers_that_are_drawn_differ(t):
    texts = [one["message"]["content"] for one in t.chat(n=4, temperature=2, max_tokens=24, seed=3)["choices"]]
    equal(len(texts), 4, "the number of answers")
    expect(len(set(texts)) > 1, "different answers", texts)


@area.case(f"{REQUEST}.n")
def greedy_answers_are_all_the_one(t):
    texts = [one["message"]["content"] for one in t.chat(n=3)["choices"]]
    equal(texts, [t.text()] * 3, "answers")


@area.case(f"{REQUEST}.temperature")
def fields_that_are_null_are_left_out(t):
    fields = ("n", "seed", "stop", "logprobs", "top_logprobs", "logit_bias", "presence_penalty", "frequency_penalty", "top_p", "stream",
              "max_completion_tokens", "stream_options", "store", "metadata")
    equal(t.text(**dict.fromkeys(fields)), t.text(), "the answer")


@area.case(f"{REQUEST}.user")
def user_is_accepted_and_changes_nothing(t):
    equal(t.text(user="user-1234"), t.text(), "the answer")


@area.case(f"{REQUEST}.metadata")
def metadata_is_accepted_and_changes_nothing(t):
    equal(t.text(metadata={"run": "7"}), t.text(), "the answer")


@area.case(f"{REQUEST}.store")
def store_false_is_accepted(t):
    equal(t.text(store=False), t.text(), "the answer")


@area.case(f"{REQUEST}.safety_identifier")
def safety_identifier_and_cache_key_are_accepted(t):
    equal(t.text(safety_identifier="a", prompt_cache_key="b"), t.text(), "the answer")


@area.case(f"{REQUEST}.response_format")
def response_format_text_is_the_default(t):
    equal(t.text(response_format={"type": "text"}), t.text(), "the answer")


@area.case(f"{RESPONSE}.system_fingerprint")
def fingerprint_stays_the_same(t):
    prints = {t.chat(max_tokens=1).get("system_fingerprint") for _ in range(2)}
    expect(len(prints) == 1 and all(isinstance(one, (str, type(None))) for one in prints), "one text", prints)
