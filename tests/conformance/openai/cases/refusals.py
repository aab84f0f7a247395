"""What is out of range is refused with 400 and its place: no field is clamped, none is ignored."""
from sheet import Area, equal, expect
from target import QUESTION

area = Area("refusals")
REQUEST = "CreateChatCompletionRequest"


def refusal(t, field, value, **more):
    """Status 400, and an error that names the field, wherever it does."""
    error = t.chat_refused(**{field: value}, **more)
    expect(field in f"{error.get('param')} {error['message']}", f"an error that names {field!r}", error)


@area.case("ErrorResponse.error")
def an_error_is_an_object_below_error(t):
    error = t.chat_refused(temperature=9)
    expect(isinstance(error["message"], str) and isinstance(error["type"], str), "message and type", error)


@area.case("Error.required")
def an_error_has_type_message_param_and_code(t):
    expect({"type", "message", "param", "code"} <= set(t.chat_refused(temperature=9)), "type, message, param, code", t.chat_refused(temperature=9))


@area.case("Error.param")
def param_names_the_field(t):
    equal(t.chat_refused(temperature=9).get("param"), "temperature", "param")


@area.case("Error.param")
def param_of_what_is_inside_a_field_begins_with_its_name(t):
    param = t.chat_refused(tools=[{"type": "function", "function": {"name": "a b"}}]).get("param")
    expect(isinstance(param, str) and param.startswith("tools"), "tools...", param)


@area.case("Error.code")
def code_is_a_text_or_null(t):
    code = t.chat_refused(temperature=9).get("code", "missing")
    expect(code is None or (isinstance(code, str) and code != "missing"), "a text or null", code)


@area.case("Error.type")
def what_is_wrong_with_a_request_is_an_invalid_request_error(t):
    equal(t.chat_refused(temperature=9)["type"], "invalid_request_error", "type")


@area.case(f"{REQUEST}.temperature")
def temperature_above_2(t):
    refusal(t, "temperature", 2.01)


@area.case(f"{REQUEST}.temperature")
def temperature_below_0(t):
    refusal(t, "temperature", -0.1)


@area.case(f"{REQUEST}.temperature")
def temperature_that_is_a_text(t):
    refusal(t, "temperature", "0.5")


@area.case(f"{REQUEST}.top_p")
def top_p_above_1(t):
    refusal(t, "top_p", 1.5)


@area.case(f"{REQUEST}.top_p")
def top_p_below_0(t):
    refusal(t, "top_p", -0.1)


@area.case(f"{REQUEST}.n")
def n_of_0(t):
    refusal(t, "n", 0)


@area.case(f"{REQUEST}.n")
def n_above_128(t):
    refusal(t, "n", 129)


@area.case(f"{REQUEST}.n")
def n_that_is_not_whole(t):
    refusal(t, "n", 1.5)


@area.case(f"{REQUEST}.presence_penalty")
def presence_penalty_above_2(t):
    refusal(t, "presence_penalty", 2.1)


@area.case(f"{REQUEST}.frequency_penalty")
def frequency_penalty_below_minus_2(t):
    refusal(t, "frequency_penalty", -2.1)


@area.case(f"{REQUEST}.logit_bias")
def a_bias_above_100(t):
    refusal(t, "logit_bias", {"5": 101})


@area.case(f"{REQUEST}.logit_bias")
def a_bias_of_something_that_is_no_token(t):
    refusal(t, "logit_bias", {"99999999": 1})


@area.case(f"{REQUEST}.logit_bias")
def a_bias_that_is_a_text(t):
    refusal(t, "logit_bias", {"5": "much"})


@area.case(f"{REQUEST}.top_logprobs")
def top_logprobs_above_20(t):
    refusal(t, "top_logprobs", 21, logprobs=True)


@area.case(f"{REQUEST}.top_logprobs")
def top_logprobs_without_logprobs(t):
    refusal(t, "top_logprobs", 2)


@area.case(f"{REQUEST}.logprobs")
def logprobs_that_are_a_number(t):
    refusal(t, "logprobs", 3)


@area.case(f"{REQUEST}.max_completion_tokens")
def max_completion_tokens_of_a_text(t):
    refusal(t, "max_completion_tokens", "many")


@area.case(f"{REQUEST}.max_tokens")
def max_tokens_below_0(t):
    refusal(t, "max_tokens", -5)


@area.case(f"{REQUEST}.seed")
def a_seed_that_is_a_text(t):
    refusal(t, "seed", "lucky")


@area.case(f"{REQUEST}.stream")
def stream_that_is_a_text(t):
    refusal(t, "stream", "yes")


@area.case("ChatCompletionStreamOptions.anyOf")
def stream_options_without_stream(t):
    refusal(t, "stream_options", {"include_usage": True})


@area.case("ChatCompletionStreamOptions.anyOf")
def include_usage_that_is_a_text(t):
    refusal(t, "stream_options", {"include_usage": "yes"}, stream=True)


@area.case("StopConfiguration")
def a_stop_that_is_a_number(t):
    refusal(t, "stop", 7)


@area.case("StopConfiguration")
def a_list_of_stops_with_a_number(t):
    refusal(t, "stop", ["a", 7])


@area.case(f"{REQUEST}.response_format")
def a_response_format_that_is_unknown(t):
    refusal(t, "response_format", {"type": "xml"})


@area.case("ResponseFormatJsonSchema.required")
def a_json_schema_format_without_a_schema(t):
    refusal(t, "response_format", {"type": "json_schema"})


@area.case("ResponseFormatJsonSchema.json_schema.properties.name")
def a_schemas_name_has_only_letters_digits_underscores_and_dashes(t):
    refusal(t, "response_format", {"type": "json_schema", "json_schema": {"name": "no spaces!", "schema": {"type": "object"}}})


@area.case("JSON Schema 2020-12 validation 6.1.1 type")
def a_schema_with_a_type_that_is_none(t):
    refusal(t, "response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "nothing"}}})


@area.case("JSON Schema 2020-12 core 8.2.3.1 $ref")
def a_schema_that_refers_to_nothing(t):
    refusal(t, "response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "#/$defs/none"}}})


@area.case("JSON Schema 2020-12 validation 6.3.3 pattern")
def a_schema_with_a_pattern_that_is_none(t):
    refusal(t, "response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "string", "pattern": "[a-"}}})


@area.case(f"{REQUEST}.tools")
def tools_that_are_no_list(t):
    refusal(t, "tools", {"type": "function"})


@area.case(f"{REQUEST}.user")
def a_user_that_is_a_number(t):
    refusal(t, "user", 7)


@area.case(f"{REQUEST}.metadata")
def metadata_that_is_a_text(t):
    refusal(t, "metadata", "run 7")


@area.case("OpenAI API reference, errors: 400 Unrecognized request argument supplied")
def an_unknown_field_is_refused_or_named_in_a_warning(t):
    reply = t.post("/v1/chat/completions", {"model": t.model, "messages": QUESTION, "max_tokens": 2, "zzz_unknown": 1})
    expect(reply.status == 400 or "zzz_unknown" in reply.body.decode(), "status 400, or a warning that names it", reply.body.decode())


@area.case("CreateChatCompletionRequest.messages")
def a_prompt_that_does_not_fit_is_refused_with_the_numbers(t):
    error = t.chat_refused(messages=[{"role": "user", "content": "word " * (t.context_tokens() + 100)}])
    expect(sum(char.isdigit() for char in error["message"]) >= 4, "the numbers", error)


@area.case("OpenAI API reference, errors: context_length_exceeded")
def a_prompt_that_does_not_fit_has_its_code(t):
    error = t.chat_refused(messages=[{"role": "user", "content": "word " * (t.context_tokens() + 100)}])
    equal(error["code"], "context_length_exceeded", "code")


@area.case("OpenAI API reference, errors: model_not_found")
def a_model_that_is_not_there_has_its_code(t):
    equal(t.refused("/v1/chat/completions", {"model": "none", "messages": QUESTION}, 404)["code"], "model_not_found", "code")
