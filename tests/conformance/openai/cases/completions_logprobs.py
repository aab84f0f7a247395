"""Log-probabilities of completions, with and without the prompt's: what lm-evaluation-harness scores by."""
from sheet import Area, equal, expect

from cases.completions import PATH, PROMPT, REQUEST, RESPONSE, complete, refused

area = Area("text-logprobs", lambda t: t.offers(PATH, {"model": t.model, "prompt": "a", "max_tokens": 1}))
LOGPROBS = f"{RESPONSE}.choices.items.properties.logprobs.anyOf"


def lists(t, **fields):
    return complete(t, **{"logprobs": 3, **fields})["choices"][0]["logprobs"]


@area.case(LOGPROBS)
def four_lists_of_one_length(t):
    found = lists(t)
    lengths = {name: len(found[name]) for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset")}
    equal(len(set(lengths.values())), 1, f"the number of different lengths in {lengths}")


@area.case(LOGPROBS)
def tokens_join_to_the_text(t):
    choice = complete(t, logprobs=1)["choices"][0]
    equal("".join(choice["logprobs"]["tokens"]), choice["text"], "the tokens joined")


@area.case(LOGPROBS)
def offsets_say_where_tokens_begin(t):
    found = lists(t, echo=True)
    at = 0
    for token, offset in zip(found["tokens"], found["text_offset"]):
        equal(offset, at, f"the offset of {token!r}")
        at += len(token)


@area.case(f"{REQUEST}.logprobs")
def so_many_of_the_likeliest_and_the_chosen(t):
    for chosen, top in zip((found := lists(t, temperature=1.5, seed=2))["tokens"], found["top_logprobs"]):
        expect(3 <= len(top) <= 4 and chosen in top, f"3 or 4 with {chosen!r}", top)


@area.case(f"{REQUEST}.logprobs")
def greedy_takes_the_likeliest(t):
    found = lists(t)
    for value, top in zip(found["token_logprobs"], found["top_logprobs"]):
        expect(value >= max(top.values()) - 1e-4, f"{max(top.values())}", value)


@area.case(f"{REQUEST}.logprobs")
def logprobs_0_tells_the_chosen_alone(t):
    found = lists(t, logprobs=0)
    expect(len(found["token_logprobs"]) >= 1 and all(isinstance(one, (int, float)) for one in found["token_logprobs"]), "numbers", found)


@area.case(f"{REQUEST}.echo")
def echo_tells_the_prompts_logprobs(t):
    answer = complete(t, echo=True)
    found = complete(t, echo=True, logprobs=1)
    equal(len(found["choices"][0]["logprobs"]["tokens"]) - answer["usage"]["prompt_tokens"] in
          (answer["usage"]["completion_tokens"], answer["usage"]["completion_tokens"] - 1), True, "tokens of prompt and answer")


@area.case(f"{REQUEST}.echo")
def the_first_token_of_a_prompt_has_none(t):
    found = lists(t, echo=True)
    equal((found["token_logprobs"][0], found["top_logprobs"][0]), (None, None), "the first")
    expect(all(one is not None and one <= 0 for one in found["token_logprobs"][1:]), "numbers of at most 0", found["token_logprobs"])


@area.case(f"{REQUEST}.max_tokens")
def echo_of_0_tokens_scores_the_prompt_alone(t):
    choice = complete(t, echo=True, logprobs=1, max_tokens=0)["choices"][0]
    equal(choice["text"], PROMPT, "the text")
    equal("".join(choice["logprobs"]["tokens"]), PROMPT, "the tokens joined")


@area.case(f"{REQUEST}.echo")
def a_prompts_logprobs_are_those_of_its_tokens_as_answers(t):
    whole = complete(t, max_tokens=6, logprobs=1)
    if "\ufffd" in whole["choices"][0]["text"]:
        return
    ids = t.token_ids(PROMPT) + t.token_ids(whole["choices"][0]["text"])
    scored = complete(t, prompt=ids, echo=True, max_tokens=1, logprobs=1)["choices"][0]["logprobs"]
    if scored["tokens"][-7:-1] != whole["choices"][0]["logprobs"]["tokens"][:6]:
        return  # the text has another spelling in tokens
    pairs = list(zip(scored["token_logprobs"][-7:-1], whole["choices"][0]["logprobs"]["token_logprobs"]))
    expect(all(abs(a - b) < 1e-3 for a, b in pairs), "the same numbers", pairs)


@area.case(f"{REQUEST}.logprobs")
def a_stream_joins_to_the_same(t):
    stream = t.stream(PATH, {"prompt": PROMPT, "max_tokens": 8, "temperature": 0, "logprobs": 1})
    tokens = [token for choice in stream.choices() if choice.get("logprobs") for token in choice["logprobs"]["tokens"]]
    equal(tokens, lists(t, logprobs=1)["tokens"], "tokens")


@area.case(f"{REQUEST}.logprobs")
def logprobs_are_no_negative_number(t):
    refused(t, logprobs=-1)
