"""Models: what runs here."""
from sheet import Area, equal, expect
from target import CHAT, QUESTION

area = Area("models")


@area.case("ListModelsResponse.object")
def models_are_a_list(t):
    answer = t.get("/v1/models").json()
    equal(answer["object"], "list", "object")
    expect(answer["data"], "at least one model", answer)


@area.case("Model.required")
def a_model_has_id_object_created_and_owned_by(t):
    for model in t.get("/v1/models").json()["data"]:
        expect(isinstance(model["id"], str) and model["object"] == "model" and type(model["created"]) is int and isinstance(model["owned_by"], str),
               "id, object, created, owned_by", model)


@area.case("ListModelsResponse.data")
def no_model_is_listed_twice(t):
    ids = [model["id"] for model in t.get("/v1/models").json()["data"]]
    equal(len(set(ids)), len(ids), "the number of different ids")


@area.case("GET /models/{model}")
def a_model_can_be_asked_for_by_its_id(t):
    reply = t.get(f"/v1/models/{t.model}")
    equal(reply.status, 200, "status")
    equal((reply.json()["id"], reply.json()["object"]), (t.model, "model"), "id and object")


@area.case("GET /models/{model}")
def a_model_that_is_not_there_is_404(t):
    reply = t.get("/v1/models/no-such-model")
    equal(reply.status, 404, "status")
    expect(set(reply.json()["error"]) >= {"message", "type", "param", "code"}, "an error", reply.json())


@area.case("CreateChatCompletionRequest.model")
def a_chat_with_a_model_that_is_not_there_is_404(t):
    t.refused(CHAT, {"model": "no-such-model", "messages": QUESTION, "max_tokens": 1}, 404)


@area.case("CreateChatCompletionRequest.model")
def a_model_is_named_by_a_text(t):
    t.refused(CHAT, {"model": 7, "messages": QUESTION, "max_tokens": 1})
