"""Completions: a prompt goes on."""
from sheet import Area, Unjudged, equal, expect

PATH = "/v1/completions"
PROMPT = "The KV cache is"
REQUEST, RESPONSE = "CreateCompletionRequest", "CreateCompletionResponse"
area = Area("completions", lambda t: t.offers(PATH, {"model": t.model, "prompt": "a", "max_tokens": 1}))


def complete(t, **fields):
    return t.answer(PATH, {"prompt": PROMPT, "max_tokens": 8, "temperature": 0, **fields})


def text(t, **fields):
    return complete(t, **fields)["choices"][0]["text"]


def refused(t, **fields):
    return t.refused(PATH, {"model": t.model, "prompt": PROMPT, "max_tokens": 4, **fields})


@area.case(f"{RESPONSE}.object")
def object_is_text_completion(t):
    equal(complete(t)["object"], "text_completion", "object")


@area.case(f"{RESPONSE}.required")
def id_created_and_model_are_there(t):
    answer = complete(t)
    expect(isinstance(answer["id"], str) and type(answer["created"]) is int and answer["model"] == t.model, "id, created, model", answer)


@area.case(f"{RESPONSE}.choices.items.required")
def a_choice_has_text_index_logprobs_and_finish_reason(t):
    choice = complete(t)["choices"][0]
    expect({"text", "index", "logprobs", "finish_reason"} <= set(choice), "text, index, logprobs, finish_reason", list(choice))
    expect(isinstance(choice["text"], str) and choice["index"] == 0 and choice["logprobs"] is None, "a text, 0 and null", choice)


@area.case(f"{RESPONSE}.choices.items.properties.finish_reason")
def finish_reason_is_length_at_max_tokens(t):
    answer = complete(t, max_tokens=3)
    wanted = "length" if answer["usage"]["completion_tokens"] == 3 else "stop"
    equal(answer["choices"][0]["finish_reason"], wanted, "finish_reason")


@area.case("CompletionUsage.total_tokens")
def usage_adds_up(t):
    usage = complete(t)["usage"]
    equal(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"], "total_tokens")


@area.case(f"{REQUEST}.max_tokens")
def sixteen_tokens_unless_told(t):
    usage = t.answer(PATH, {"prompt": PROMPT, "temperature": 0})["usage"]
    expect(1 <= usage["completion_tokens"] <= 16, "1 to 16 tokens", usage)


@area.case(f"{REQUEST}.prompt")
def a_list_of_prompts_has_an_answer_for_each(t):
    prompts = [PROMPT, "Memory is", "Once upon"]
    choices = complete(t, prompt=prompts)["choices"]
    equal([choice["index"] for choice in choices], [0, 1, 2], "indices")
    equal([choice["text"] for choice in choices], [text(t, prompt=one) for one in prompts], "the answers")


@area.case(f"{REQUEST}.prompt")
def a_list_of_token_ids_is_a_prompt(t):
    equal(complete(t, prompt=[300, 301, 302], max_tokens=2)["usage"]["prompt_tokens"], 3, "prompt_tokens")


@area.case(f"{REQUEST}.prompt")
def a_list_of_lists_of_token_ids_is_several_prompts(t):
    choices = complete(t, prompt=[[300, 301], [302, 303, 304]], max_tokens=4)["choices"]
    equal([choice["text"] for choice in choices], [text(t, prompt=[300, 301], max_tokens=4), text(t, prompt=[302, 303, 304], max_tokens=4)], "the answers")


@area.case(f"{REQUEST}.prompt")
def ids_and_their_text_go_on_alike(t):
    ids = t.token_ids(PROMPT)
    whole, from_text = complete(t, prompt=ids), complete(t)
    if from_text["usage"]["prompt_tokens"] != len(ids):
        raise Unjudged("a text's prompt has special tokens of its own")
    equal(whole["choices"][0]["text"], from_text["choices"][0]["text"], "the answer")


@area.case(f"{REQUEST}.echo")
def echo_repeats_the_prompt(t):
    equal(text(t, echo=True), PROMPT + text(t), "the answer")


@area.case(f"{REQUEST}.n")
def n_answers_for_each_prompt(t):
    choices = complete(t, prompt=[PROMPT, "Memory is"], n=2, temperature=1, seed=1)["choices"]
    equal(sorted(choice["index"] for choice in choices), [0, 1, 2, 3], "indices")


@area.case("CompletionUsage.completion_tokens")
def usage_counts_all_answers(t):
    equal(complete(t, n=2)["usage"]["completion_tokens"], 2 * complete(t)["usage"]["completion_tokens"], "completion_tokens")


@area.case(f"{REQUEST}.seed")
def a_seed_gives_the_same_text(t):
    equal(len({text(t, temperature=1.5, seed=3, max_tokens=20) for _ in range(3)}), 1, "the number of different answers")


@area.case("StopConfiguration")
def a_stop_is_no_part_of_the_text(t):
    whole = text(t, max_tokens=60)
    if len(whole) < 20:
        raise Unjudged("the answer is short")
    stop = whole[10:14]
    choice = complete(t, max_tokens=60, stop=[stop])["choices"][0]
    equal((choice["text"], choice["finish_reason"]), (whole[:whole.index(stop)], "stop"), "the answer and why it ended")


@area.case(f"{REQUEST}.logit_bias")
def a_bias_forces_its_token(t):
    (first, forced), _ = t.forced_tokens()
    equal(text(t, logit_bias={str(first): 100}, max_tokens=4), forced * 4, "the answer")


@area.case(f"{REQUEST}.frequency_penalty")
def a_frequency_penalty_makes_room_for_another_token(t):
    (first, one), (second, other) = t.forced_tokens()
    found = text(t, logit_bias={str(first): 100, str(second): 100}, max_tokens=40, frequency_penalty=2)
    expect(one in found and other in found, f"both {one!r} and {other!r}", found)


@area.case(f"{REQUEST}.stream")
def a_stream_has_objects_of_the_same_shape(t):
    stream = t.stream(PATH, {"prompt": PROMPT, "max_tokens": 8, "temperature": 0})
    expect(stream.done, "[DONE] last", stream.events[-1].raw)
    equal({chunk["object"] for chunk in stream.chunks}, {"text_completion"}, "objects")


@area.case(f"{REQUEST}.stream")
def pieces_join_to_the_whole(t):
    stream = t.stream(PATH, {"prompt": PROMPT, "max_tokens": 20, "temperature": 0})
    equal("".join(choice["text"] for choice in stream.choices()), text(t, max_tokens=20), "the pieces joined")


@area.case(f"{REQUEST}.stream_options")
def usage_comes_last_in_a_stream(t):
    last = t.stream(PATH, {"prompt": PROMPT, "max_tokens": 8, "temperature": 0, "stream_options": {"include_usage": True}}).chunks[-1]
    equal((last["choices"], last["usage"]["completion_tokens"]), ([], complete(t)["usage"]["completion_tokens"]), "choices and completion_tokens")


@area.case(f"{REQUEST}.required")
def a_prompt_is_no_number(t):
    refused(t, prompt=7)


@area.case(f"{REQUEST}.prompt")
def a_prompt_of_ids_that_are_none_is_refused(t):
    refused(t, prompt=[10**9])


@area.case(f"{REQUEST}.prompt")
def a_prompt_list_has_one_kind(t):
    refused(t, prompt=["a", 300])


@area.case(f"{REQUEST}.max_tokens")
def a_prompt_and_its_answer_fit_the_context_or_are_refused(t):
    error = refused(t, prompt="word " * (t.context_tokens() + 100))
    expect(any(char.isdigit() for char in error["message"]), "the numbers", error)


@area.case(f"{REQUEST}.temperature")
def temperature_is_0_to_2(t):
    refused(t, temperature=2.5)


@area.case(f"{REQUEST}.best_of")
def best_of_is_at_least_n(t):
    refused(t, best_of=1, n=2)


@area.case(f"{REQUEST}.suffix")
def a_suffix_is_used_or_refused(t):
    reply = t.post(PATH, {"model": t.model, "prompt": PROMPT, "suffix": " end.", "max_tokens": 4, "temperature": 0})
    if reply.status == 400:
        return
    expect(reply.json()["choices"][0]["text"] != text(t, max_tokens=4) or "warnings" in reply.json(), "status 400, or another answer", reply.body.decode())
