"""How tokens are chosen: fields that must change an answer in the way that they say."""
from sheet import Area, Unjudged, equal, expect

area = Area("sampling")
REQUEST = "CreateChatCompletionRequest"


@area.case(f"{REQUEST}.temperature")
def temperature_0_gives_the_same_text_again(t):
    equal(t.text(max_tokens=30), t.text(max_tokens=30), "the second answer")


@area.case(f"{REQUEST}.temperature")
def temperature_0_takes_the_likeliest_token(t):
    for token in t.chat(max_tokens=12, logprobs=True, top_logprobs=2)["choices"][0]["logprobs"]["content"]:
        best = max(one["logprob"] for one in token["top_logprobs"])
        expect(token["logprob"] >= best - 1e-4, f"the likeliest, of logprob {best}", token)


@area.case(f"{REQUEST}.temperature")
def temperature_2_draws_more_kinds_of_answers_than_a_low_one(t):
    draw = lambda temperature: {t.text(temperature=temperature, seed=seed, max_tokens=16) for seed in range(6)}
    hot, cold = len(draw(2)), len(draw(0.01))
    expect(hot > cold or hot == 6, f"more than {cold} different answers of 6", hot)


@area.case(f"{REQUEST}.seed")
def the_same_seed_gives_the_same_text(t):
    texts = [t.text(temperature=2, seed=42, max_tokens=30) for _ in range(3)]
    equal(len(set(texts)), 1, "the number of different answers")


@area.case(f"{REQUEST}.seed")
def other_seeds_give_other_texts(t):
    texts = {t.text(temperature=2, seed=seed, max_tokens=24) for seed in range(5)}
    expect(len(texts) > 1, "more than one answer", texts)


@area.case(f"{REQUEST}.seed")
def the_same_seed_gives_the_same_choices(t):
    draw = lambda: [one["message"]["content"] for one in t.chat(temperature=1.5, seed=9, n=3, max_tokens=20)["choices"]]
    equal(draw(), draw(), "the second answers")


@area.case(f"{REQUEST}.seed")
def without_a_seed_answers_differ(t):
    texts = {t.text(temperature=2, max_tokens=24) for _ in range(5)}
    expect(len(texts) > 1, "more than one answer", texts)


@area.case(f"{REQUEST}.seed")
def seeds_are_as_wide_as_64_bits(t):
    wide = [t.text(temperature=2, seed=seed, max_tokens=24) for seed in (7, 7 + 2**32, 7 + 2**33, 7 + 2**34)]
    expect(len(set(wide)) > 1, "answers that differ with the upper bits", wide)


@area.case(f"{REQUEST}.top_p")
def a_tiny_top_p_is_greedy(t):
    equal(t.text(temperature=2, top_p=1e-6, seed=1, max_tokens=20), t.text(temperature=0, max_tokens=20), "the answer")


@area.case(f"{REQUEST}.top_p")
def top_p_1_keeps_every_token(t):
    equal(t.text(temperature=1.5, top_p=1, seed=4, max_tokens=20), t.text(temperature=1.5, seed=4, max_tokens=20), "the answer")


@area.case("StopConfiguration")
def a_stop_ends_the_answer_and_is_no_part_of_it(t):
    messages, text = t.long_answer()
    stop = text[15:19]
    equal(t.text(messages=messages, max_tokens=60, stop=stop), text[:text.index(stop)], f"the answer up to {stop!r}")


@area.case("StopConfiguration")
def an_answer_that_a_stop_ended_says_stop(t):
    messages, text = t.long_answer()
    equal(t.chat(messages=messages, max_tokens=60, stop=[text[15:19]])["choices"][0]["finish_reason"], "stop", "finish_reason")


@area.case("StopConfiguration")
def the_first_of_several_stops_counts(t):
    messages, text = t.long_answer()
    stops = ["\x01never", text[25:29], text[12:15], "\x02nor"]
    wanted = min((text.index(stop) for stop in stops[1:3]), default=0)
    equal(t.text(messages=messages, max_tokens=60, stop=stops), text[:wanted], "the answer")


@area.case("StopConfiguration")
def a_stop_of_one_character_inside_a_token(t):
    messages, text = t.long_answer()
    place = next((i for i in range(8, len(text)) if text[i].isalpha() and text[i - 1].isalpha()), None)
    if place is None:
        raise Unjudged("no word in the answer")
    equal(t.text(messages=messages, max_tokens=60, stop=text[place]), text[:text.index(text[place])], "the answer")


@area.case("StopConfiguration")
def a_stop_over_several_tokens(t):
    messages, text = t.long_answer()
    stop = text[10:32]
    equal(t.text(messages=messages, max_tokens=60, stop=stop), text[:text.index(stop)], "the answer")


@area.case("StopConfiguration")
def a_stop_that_never_comes_changes_nothing(t):
    messages, text = t.long_answer()
    equal(t.text(messages=messages, max_tokens=60, stop=[text[5:9] + "\x01"]), text, "the answer")


@area.case("StopConfiguration")
def each_choice_has_its_own_stop(t):
    messages, text = t.long_answer()
    stop = text[15:19]
    texts = [one["message"]["content"] for one in t.chat(messages=messages, max_tokens=60, n=3, temperature=1, seed=2, stop=stop)["choices"]]
    expect(all(stop not in one for one in texts), f"no {stop!r}", texts)


@area.case(f"{REQUEST}.logit_bias")
def a_bias_of_100_forces_its_token(t):
    (first, first_text), (second, second_text) = t.forced_tokens()
    equal(t.text(logit_bias={str(first): 100}, max_tokens=5), first_text * 5, "the answer")
    equal(t.text(logit_bias={str(second): 100}, max_tokens=5, temperature=1, seed=3), second_text * 5, "the answer")


@area.case(f"{REQUEST}.logit_bias")
def a_bias_of_minus_100_bans_its_token(t):
    answer = t.chat(max_tokens=1, logprobs=True, top_logprobs=1)["choices"][0]
    if not answer["logprobs"]["content"]:
        raise Unjudged("the answer ends before its first token")
    ids = t.token_ids(answer["logprobs"]["content"][0]["token"])
    if len(ids) != 1:
        raise Unjudged("the first token is no token by itself")
    banned = t.chat(max_tokens=1, logit_bias={str(ids[0]): -100})["choices"][0]["message"]["content"]
    expect(banned != answer["message"]["content"], "another first token", banned)


@area.case(f"{REQUEST}.logit_bias")
def biases_are_added_each_to_its_own_token(t):
    (first, _), (second, text) = t.forced_tokens()
    equal(t.text(logit_bias={str(first): -100, str(second): 100}, max_tokens=4), text * 4, "the answer")


@area.case(f"{REQUEST}.logit_bias")
def an_empty_bias_changes_nothing(t):
    equal(t.text(logit_bias={}), t.text(), "the answer")


@area.case(f"{REQUEST}.frequency_penalty")
def a_frequency_penalty_makes_room_for_the_other_of_two_tokens(t):
    (first, one), (second, other) = t.forced_tokens()
    text = t.text(logit_bias={str(first): 100, str(second): 100}, max_tokens=40, frequency_penalty=2)
    expect(one in text and other in text, f"both {one!r} and {other!r}", text)


@area.case(f"{REQUEST}.frequency_penalty")
def a_negative_frequency_penalty_repeats(t):
    (first, one), (second, other) = t.forced_tokens()
    text = t.text(logit_bias={str(first): 100, str(second): 100}, max_tokens=40, frequency_penalty=-2)
    expect(text.endswith((one * 10, other * 10)), "one token at last", text)


@area.case(f"{REQUEST}.presence_penalty")
def a_presence_penalty_brings_new_tokens(t):
    biases = {str(token): 100 for token in range(300, 340)}
    kinds = lambda penalty: len({token["token"] for token in t.chat(
        logit_bias=biases, max_tokens=30, presence_penalty=penalty, logprobs=True)["choices"][0]["logprobs"]["content"]})
    more, less = kinds(2), kinds(-2)
    expect(more > less, f"more than the {less} kinds of tokens with -2", more)


@area.case(f"{REQUEST}.presence_penalty")
def penalties_of_0_change_nothing(t):
    equal(t.text(presence_penalty=0, frequency_penalty=0, max_tokens=20), t.text(max_tokens=20), "the answer")
