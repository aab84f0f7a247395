"""Chat completions in pieces: the objects, and that they say what the whole answer says."""
import json

from sheet import Area, equal, expect

area = Area("chat-stream")
CHUNK, OPTIONS, DELTA = "CreateChatCompletionStreamResponse", "ChatCompletionStreamOptions", "ChatCompletionStreamResponseDelta"


@area.case(f"{CHUNK}.object")
def every_piece_is_a_chunk(t):
    equal({chunk["object"] for chunk in t.chat_stream().chunks}, {"chat.completion.chunk"}, "objects")


@area.case(f"{CHUNK}.id")
def every_piece_has_the_same_id(t):
    equal(len({chunk["id"] for chunk in t.chat_stream().chunks}), 1, "the number of different ids")


@area.case(f"{CHUNK}.created")
def every_piece_has_the_same_time(t):
    equal(len({chunk["created"] for chunk in t.chat_stream(max_tokens=40).chunks}), 1, "the number of different times")


@area.case(f"{CHUNK}.model")
def every_piece_names_the_model(t):
    equal({chunk["model"] for chunk in t.chat_stream().chunks}, {t.model}, "models")


@area.case(f"{DELTA}.role")
def the_first_piece_has_the_role(t):
    equal(t.chat_stream().choices()[0]["delta"].get("role"), "assistant", "role")


@area.case(f"{DELTA}.content")
def pieces_join_to_the_whole_answer(t):
    equal(t.chat_stream(max_tokens=30).content(), t.text(max_tokens=30), "the pieces joined")


@area.case(f"{CHUNK}.choices.items.properties.finish_reason")
def finish_reason_comes_once_and_last(t):
    choices = t.chat_stream().choices()
    reasons = [choice["finish_reason"] for choice in choices]
    expect(reasons[-1] in ("stop", "length") and set(reasons[:-1]) <= {None}, "null but in the last piece", reasons)


@area.case(f"{CHUNK}.choices.items.required")
def every_choice_has_delta_index_and_finish_reason(t):
    for choice in t.chat_stream().choices():
        expect({"delta", "index", "finish_reason"} <= set(choice), "delta, index, finish_reason", list(choice))


@area.case(f"{CHUNK}.choices.items.properties.finish_reason")
def finish_reason_is_that_of_the_whole_answer(t):
    equal(t.chat_stream(max_tokens=3).finish(), [t.chat(max_tokens=3)["choices"][0]["finish_reason"]], "finish_reason")


@area.case(f"{OPTIONS}.anyOf")
def usage_comes_in_a_last_piece_without_choices(t):
    last = t.chat_stream(stream_options={"include_usage": True}).chunks[-1]
    equal(last["choices"], [], "choices of the last piece")
    equal({key: last["usage"][key] for key in ("prompt_tokens", "completion_tokens", "total_tokens")},
          {key: t.chat()["usage"][key] for key in ("prompt_tokens", "completion_tokens", "total_tokens")}, "usage")


@area.case(f"{OPTIONS}.anyOf")
def usage_is_null_in_all_other_pieces(t):
    for chunk in t.chat_stream(stream_options={"include_usage": True}).chunks[:-1]:
        expect("usage" in chunk and chunk["usage"] is None, "usage: null", chunk)


@area.case(f"{CHUNK}.usage")
def no_usage_unless_asked(t):
    for chunk in t.chat_stream().chunks:
        expect(chunk.get("usage") is None, "no usage", chunk)


@area.case(f"{OPTIONS}.anyOf")
def include_usage_false_tells_none(t):
    for chunk in t.chat_stream(stream_options={"include_usage": False}).chunks:
        expect(chunk.get("usage") is None and chunk["choices"], "no usage and no piece without choices", chunk)


@area.case("CompletionUsage.completion_tokens")
def usage_of_a_stream_counts_all_choices(t):
    stream = t.chat_stream(n=2, stream_options={"include_usage": True})
    equal(stream.chunks[-1]["usage"]["completion_tokens"], 2 * t.chat()["usage"]["completion_tokens"], "completion_tokens")


@area.case("CreateChatCompletionRequest.n")
def choices_are_told_by_their_index(t):
    stream = t.chat_stream(n=3, temperature=1.5, seed=4, max_tokens=12)
    whole = t.chat(n=3, temperature=1.5, seed=4, max_tokens=12)["choices"]
    equal([stream.content(i) for i in range(3)], [one["message"]["content"] for one in sorted(whole, key=lambda one: one["index"])], "the answers")


@area.case("CreateChatCompletionRequest.n")
def every_choice_ends(t):
    stream = t.chat_stream(n=3, temperature=1.5, seed=4, max_tokens=12)
    equal([len(stream.finish(i)) for i in range(3)], [1, 1, 1], "the number of ends")


@area.case("CreateChatCompletionRequest.n")
def every_choice_begins_with_its_role(t):
    stream = t.chat_stream(n=2, max_tokens=4)
    equal([stream.choices(i)[0]["delta"].get("role") for i in range(2)], ["assistant"] * 2, "roles")


@area.case("CreateChatCompletionRequest.logprobs")
def logprobs_join_to_those_of_the_whole_answer(t):
    stream = t.chat_stream(logprobs=True, top_logprobs=2, max_tokens=10)
    whole = t.chat(logprobs=True, top_logprobs=2, max_tokens=10)["choices"][0]["logprobs"]["content"]
    equal([token["token"] for token in stream.logprobs()], [token["token"] for token in whole], "tokens")
    expect(all(abs(a["logprob"] - b["logprob"]) < 1e-3 for a, b in zip(stream.logprobs(), whole)), "the same logprobs", stream.logprobs())


@area.case("CreateChatCompletionRequest.logprobs")
def no_logprobs_unless_asked(t):
    for choice in t.chat_stream().choices():
        equal(choice.get("logprobs"), None, "logprobs")


@area.case("StopConfiguration")
def a_stop_does_not_leak_into_the_stream(t):
    messages, text = t.long_answer()
    stop = text[12:24]
    stream = t.chat_stream(messages=messages, max_tokens=60, stop=stop)
    equal(stream.content(), text[:text.index(stop)], "the pieces joined")
    equal(stream.finish(), ["stop"], "finish_reason")


@area.case("StopConfiguration")
def what_only_looks_like_a_stop_is_told(t):
    messages, text = t.long_answer()
    equal(t.chat_stream(messages=messages, max_tokens=60, stop=[text[10:16] + "\x01", text[-3:] + "\x01"]).content(), text, "the pieces joined")


@area.case("CreateChatCompletionRequest.seed")
def a_seed_gives_the_same_stream(t):
    fields = {"temperature": 1.5, "seed": 11, "max_tokens": 20}
    equal(t.chat_stream(**fields).content(), t.text(**fields), "the pieces joined")


@area.case("CreateChatCompletionRequest.stream")
def an_answer_comes_in_more_than_one_piece(t):
    messages, _ = t.long_answer()
    pieces = [choice for choice in t.chat_stream(messages=messages, max_tokens=60).choices() if choice["delta"].get("content")]
    expect(len(pieces) >= 5, "at least 5 pieces of 40 characters", len(pieces))


@area.case("CreateChatCompletionRequest.stream")
def stream_false_is_a_whole_answer(t):
    equal(t.chat(stream=False)["object"], "chat.completion", "object")


@area.case("ErrorResponse.error")
def a_stream_that_cannot_begin_is_an_error_with_its_status(t):
    error = t.chat_refused(stream=True, temperature=9)
    expect(isinstance(error["message"], str), "a message", json.dumps(error))
