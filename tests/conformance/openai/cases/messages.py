"""Messages: whose they are and what they may hold."""
from sheet import Area, equal, expect
from target import CHAT, QUESTION

area = Area("messages")
TEXT = QUESTION[0]["content"]


def said(t, *messages, **fields):
    return t.text(messages=list(messages), **fields)


@area.case("ChatCompletionRequestUserMessage.content")
def parts_of_text_say_what_the_text_says(t):
    equal(said(t, {"role": "user", "content": [{"type": "text", "text": TEXT}]}), said(t, {"role": "user", "content": TEXT}), "the answer")


@area.case("ChatCompletionRequestUserMessage.content")
def several_parts_are_accepted(t):
    said(t, {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": " a KV cache?"}]})


@area.case("ChatCompletionRequestSystemMessage.role")
def a_system_message_is_part_of_the_prompt(t):
    alone = t.chat(max_tokens=1)["usage"]["prompt_tokens"]
    both = t.chat(max_tokens=1, messages=[{"role": "system", "content": "Be brief and kind to all."}, *QUESTION])["usage"]["prompt_tokens"]
    expect(both > alone, f"more than {alone} tokens", both)


@area.case("ChatCompletionRequestDeveloperMessage.role")
def a_developer_message_is_accepted(t):
    said(t, {"role": "developer", "content": "Be brief."}, *QUESTION)


@area.case("ChatCompletionRequestAssistantMessage.role")
def a_conversation_goes_on(t):
    alone = t.chat(max_tokens=1)["usage"]["prompt_tokens"]
    messages = [*QUESTION, {"role": "assistant", "content": "It keeps keys."}, {"role": "user", "content": "And values?"}]
    expect(t.chat(max_tokens=1, messages=messages)["usage"]["prompt_tokens"] > alone, f"more than {alone} tokens", alone)


@area.case("ChatCompletionRequestUserMessage.name")
def a_name_is_accepted(t):
    said(t, {"role": "user", "content": TEXT, "name": "ann"})


@area.case("ChatCompletionRequestAssistantMessage.refusal")
def a_refusal_of_null_is_accepted(t):
    said(t, *QUESTION, {"role": "assistant", "content": "Yes.", "refusal": None}, {"role": "user", "content": "More."})


@area.case("ChatCompletionRequestAssistantMessage.content")
def an_answer_can_be_sent_back_as_it_came(t):
    message = t.chat()["choices"][0]["message"]
    said(t, *QUESTION, message, {"role": "user", "content": "Go on."})


@area.case("ChatCompletionRequestUserMessage.content")
def an_empty_text_is_a_text(t):
    said(t, {"role": "user", "content": ""})


@area.case("CreateChatCompletionRequest.messages")
def messages_are_required(t):
    t.refused(CHAT, {"model": t.model, "max_tokens": 2})


@area.case("CreateChatCompletionRequest.messages")
def at_least_one_message(t):
    t.chat_refused(messages=[])


@area.case("CreateChatCompletionRequest.messages")
def messages_are_a_list(t):
    t.chat_refused(messages=TEXT)


@area.case("ChatCompletionRequestMessage.oneOf")
def a_message_is_an_object(t):
    t.chat_refused(messages=[TEXT])


@area.case("ChatCompletionRequestUserMessage.role")
def a_role_is_required(t):
    t.chat_refused(messages=[{"content": TEXT}])


@area.case("ChatCompletionRequestMessage.discriminator")
def a_role_is_a_known_one(t):
    t.chat_refused(messages=[{"role": "wizard", "content": TEXT}])


@area.case("ChatCompletionRequestUserMessage.required")
def a_users_content_is_required(t):
    t.chat_refused(messages=[{"role": "user"}])


@area.case("ChatCompletionRequestUserMessage.content")
def content_is_no_number(t):
    t.chat_refused(messages=[{"role": "user", "content": 7}])


@area.case("ChatCompletionRequestUserMessageContentPart.oneOf")
def a_part_has_a_known_type(t):
    t.chat_refused(messages=[{"role": "user", "content": [{"type": "smell", "smell": "rose"}]}])


@area.case("ChatCompletionRequestToolMessage.required")
def a_tool_message_says_which_call_it_answers(t):
    t.chat_refused(messages=[*QUESTION, {"role": "tool", "content": "sunny"}])


@area.case("ChatCompletionMessageToolCall.required")
def a_call_in_the_history_has_a_function(t):
    t.chat_refused(messages=[*QUESTION, {"role": "assistant", "content": "", "tool_calls": [{"id": "a", "type": "function"}]}])
