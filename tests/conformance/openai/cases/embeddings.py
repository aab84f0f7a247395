"""Embeddings: vectors of texts."""
import base64
import struct

from sheet import Area, equal, expect

PATH = "/v1/embeddings"
REQUEST, RESPONSE = "CreateEmbeddingRequest", "CreateEmbeddingResponse"
area = Area("embeddings", lambda t: t.offers(PATH, {"model": t.model, "input": "a"}))


def embed(t, **fields):
    return t.answer(PATH, {"input": "What is a KV cache?", **fields})


def vector(t, **fields):
    return embed(t, **fields)["data"][0]["embedding"]


def near(a, b):
    return len(a) == len(b) and all(abs(x - y) <= 1e-5 + 1e-4 * abs(y) for x, y in zip(a, b))


def refused(t, **fields):
    return t.refused(PATH, {"model": t.model, **fields})


@area.case(f"{RESPONSE}.object")
def object_is_list(t):
    equal(embed(t)["object"], "list", "object")


@area.case(f"{RESPONSE}.model")
def model_is_the_one_that_was_asked(t):
    equal(embed(t)["model"], t.model, "model")


@area.case("Embedding.embedding")
def an_embedding_is_a_list_of_numbers(t):
    found = vector(t)
    expect(len(found) > 0 and all(isinstance(one, (int, float)) for one in found), "numbers", found)


@area.case("Embedding.object")
def each_is_an_embedding_with_its_index(t):
    data = embed(t, input=["a", "b", "c"])["data"]
    equal([(one["object"], one["index"]) for one in data], [("embedding", i) for i in range(3)], "objects and indices")


@area.case(f"{RESPONSE}.usage")
def usage_counts_the_prompts_tokens(t):
    usage = embed(t)["usage"]
    expect(usage["prompt_tokens"] > 0 and usage["total_tokens"] == usage["prompt_tokens"], "equal numbers above 0", usage)


@area.case(f"{REQUEST}.input")
def several_texts_have_the_vectors_that_each_has_alone(t):
    texts = ["a red house", "KV cache", "x"]
    together = [one["embedding"] for one in embed(t, input=texts)["data"]]
    expect(all(near(found, vector(t, input=one)) for found, one in zip(together, texts)), "the same vectors", "others")


@area.case(f"{REQUEST}.input")
def other_texts_have_other_vectors(t):
    expect(not near(vector(t, input="a red house"), vector(t, input="the quick brown fox")), "another vector", "the same")


@area.case(f"{REQUEST}.input")
def token_ids_are_an_input(t):
    equal(embed(t, input=[300, 301, 302])["usage"]["prompt_tokens"] >= 3, True, "3 tokens or more")


@area.case(f"{REQUEST}.input")
def lists_of_token_ids_are_several_inputs(t):
    equal(len(embed(t, input=[[300, 301], [302]])["data"]), 2, "the number of vectors")


@area.case(f"{REQUEST}.encoding_format")
def base64_has_the_same_floats(t):
    data = base64.b64decode(vector(t, encoding_format="base64"))
    expect(near(list(struct.unpack(f"<{len(data) // 4}f", data)), vector(t)), "the same vector", "another")


@area.case(f"{REQUEST}.encoding_format")
def float_is_the_default(t):
    expect(near(vector(t, encoding_format="float"), vector(t)), "the same vector", "another")


@area.case(f"{REQUEST}.encoding_format")
def an_unknown_format_is_refused(t):
    refused(t, input="a", encoding_format="roman")


@area.case(f"{REQUEST}.dimensions")
def dimensions_are_kept_or_refused(t):
    reply = t.post(PATH, {"model": t.model, "input": "a", "dimensions": 8})
    expect(reply.status == 400 or len(reply.json()["data"][0]["embedding"]) == 8, "8 numbers or status 400", reply.body[:200].decode())


@area.case(f"{REQUEST}.dimensions")
def dimensions_are_1_or_more(t):
    refused(t, input="a", dimensions=0)


@area.case(f"{REQUEST}.input")
def an_empty_list_is_refused(t):
    refused(t, input=[])


@area.case(f"{REQUEST}.required")
def an_input_is_required(t):
    refused(t)


@area.case(f"{REQUEST}.input")
def an_input_is_no_object(t):
    refused(t, input={"text": "a"})


@area.case(f"{REQUEST}.input")
def a_text_that_is_too_long_is_refused(t):
    refused(t, input="word " * (t.context_tokens() + 100))


@area.case(f"{REQUEST}.additionalProperties")
def an_unknown_field_is_refused(t):
    refused(t, input="a", nonsense=1)


@area.case(f"{REQUEST}.user")
def user_is_accepted(t):
    expect(near(vector(t, user="u"), vector(t)), "the same vector", "another")
