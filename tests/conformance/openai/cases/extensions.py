"""What OpenAI's API does not have and other servers do: it counts where it is offered."""
import json
import threading

from sheet import Area, Lost, equal, expect
from target import CHAT, QUESTION

tokens = Area("tokenize", lambda t: t.offers("/tokenize", {"prompt": "a", "content": "a"}), of_spec=False)
fields = Area("extensions", lambda t: t.post(CHAT, {"model": t.model, "messages": QUESTION, "max_tokens": 1, "priority": 1}).status == 200 and
              t.post(CHAT, {"model": t.model, "messages": QUESTION, "max_tokens": 1, "priority": "high"}).status == 400, of_spec=False)
TEXT = "What is a KV cache? Gr\u00fc\u00dfe \U0001f642"


def texts_of(t, ids):
    answer = t.post("/detokenize", {"tokens": ids}).json()
    return answer.get("prompt", answer.get("content"))


@tokens.case("vLLM /tokenize, /detokenize")
def ids_become_the_text_again(t):
    equal(texts_of(t, t.token_ids(TEXT)), TEXT, "the text")


@tokens.case("vLLM /tokenize")
def an_empty_text_has_no_tokens(t):
    equal(t.token_ids(""), [], "tokens")


@tokens.case("vLLM /detokenize")
def an_id_that_is_none_is_refused(t):
    equal(t.post("/detokenize", {"tokens": [10**9]}).status, 400, "status")


@tokens.case("vLLM /detokenize")
def ids_that_are_texts_are_refused(t):
    equal(t.post("/detokenize", {"tokens": ["a"]}).status, 400, "status")


@tokens.case("vLLM /tokenize")
def a_text_is_required(t):
    equal(t.post("/tokenize", {}).status, 400, "status")


@tokens.case("llama.cpp /apply-template")
def a_conversation_becomes_a_prompt(t):
    prompt = t.post("/apply-template", {"messages": QUESTION}).json()["prompt"]
    expect(QUESTION[0]["content"] in prompt and prompt != QUESTION[0]["content"], "the question between the template's marks", prompt)


@fields.case("vLLM priority")
def a_request_of_priority_overtakes(t):
    """Whatever the direction: of 10 and -10 the same one is answered first, in whichever order they come."""
    firsts = {first_of(t, order) for order in ((10, -10), (-10, 10))}
    equal(len(firsts), 1, f"the number of priorities of {firsts} that were first")


def first_of(t, order):
    """Fills the server, then sends a request of each priority; the one that ends first."""
    ended, lock = [], threading.Lock()

    def ask(priority, max_tokens):
        body = json.dumps({"model": t.model, "messages": QUESTION, "max_tokens": max_tokens, "min_tokens": max_tokens, "priority": priority})
        t.post(CHAT, body.encode())
        with lock:
            ended.append(priority)

    fill = [threading.Thread(target=ask, args=(0, 60)) for _ in range(48)]
    rest = [threading.Thread(target=ask, args=(priority, 24)) for priority in order]
    for thread in fill + rest:
        thread.start()
    for thread in fill + rest:
        thread.join()
    marked = [priority for priority in ended if priority != 0]
    if len(marked) != 2:
        raise Lost("both answers", ended)
    return marked[0]


@fields.case("vLLM min_tokens, ignore_eos")
def an_answer_has_as_many_tokens_as_were_demanded(t):
    equal(t.chat(max_tokens=50, min_tokens=50, ignore_eos=True)["usage"]["completion_tokens"], 50, "completion_tokens")


@fields.case("vLLM top_k")
def top_k_1_is_greedy(t):
    equal(t.text(temperature=2, top_k=1, seed=5, max_tokens=20), t.text(max_tokens=20), "the answer")


@fields.case("vLLM structured_outputs.regex")
def a_regex_holds_for_the_whole_answer(t):
    answer = t.text(structured_outputs={"regex": "[ab]{3}-[0-9]"}, max_tokens=30)
    expect(len(answer) == 5 and answer[3] == "-" and set(answer[:3]) <= set("ab") and answer[4].isdigit(), "aaa-0", answer)


@fields.case("vLLM structured_outputs.choice")
def an_answer_is_one_of_the_choices(t):
    expect(t.text(structured_outputs={"choice": ["yes", "no"]}, max_tokens=10) in ("yes", "no"), "yes or no", "another")
