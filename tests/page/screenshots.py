"""Pictures of the page as it is, for people to look at: light, dark, 400 px wide; answers, code, errors, a loading model.

  usage: screenshots.py CORBEL OUT_FOLDER
"""
import pathlib
import sys

import browser
from stage import Corbel, Stage, Stream, give_error, give_json, whole_answer

ANSWER = """A **KV cache** keeps the keys and values of all tokens seen so far. Per layer it takes

| format | bytes per value | 4096 tokens, 32 layers |
|:--|--:|--:|
| `f32` | 4 | 1.07 GB |
| `bf16` | 2 | 537 MB |
| `int8` | 1 | 277 MB |

1. *Prefill* reads the whole prompt at once and is bound by arithmetic.
2. *Decode* reads every cached byte for each token and is bound by memory:
   - attention over pages of 64 tokens
   - one row of each of many sequences

```cpp
// Keys and values of one token, appended to its sequence's newest page; a page without room makes the pool give another one, which may fail.
Result<void> KvCache::append(std::int64_t sequence, std::span<const float> keys, std::span<const float> values) {
  for (std::size_t i = 0; i < keys.size(); ++i) page(sequence)[i] = bfloat16(keys[i]);  // rounds to nearest even
  return kOk;
}
```

> Attention always reads what was stored, also what has just been written.

More at [the paper](https://arxiv.org/abs/2309.06180)."""


class Photographer:
    def __init__(self, program, out):
        self.out = pathlib.Path(out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.playwright, self.browser, why_not = browser.open_browser()
        if why_not:
            sys.exit(why_not)
        self.corbel = Corbel(program)

    def visit(self, name, width, height, scheme, play):
        stage = Stage(self.corbel.port)
        context = self.browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        try:
            play(stage, page)
            page.wait_for_timeout(300)
            page.screenshot(path=self.out / f"{name}_{scheme}_{width}.png")
        finally:
            context.close()
            stage.close()


def ask(stage, page, text, answer, wait=True):
    stage.answers["/v1/chat/completions"] = answer
    page.fill("#composer-text", text)
    page.keyboard.press("Enter")
    if not wait:
        return page.locator(".message.running .prose p").first.wait_for()
    page.locator(".message.assistant:not(.running)").first.wait_for()


def opened(stage, page):
    page.goto(stage.url)
    page.wait_for_selector('.dot[data-state="ok"]')


def empty(stage, page):
    opened(stage, page)


def answered(stage, page):
    opened(stage, page)
    ask(stage, page, "What is a KV cache?\nPlease with a table and code.", whole_answer(ANSWER, tokens=312))


def real(stage, page):
    opened(stage, page)
    page.click("#tab-live") if page.locator("#tab-live").is_visible() else None
    for text in ("What is a KV cache?", "What is prefill?", "And decode?"):
        page.fill("#composer-text", text)
        page.keyboard.press("Enter")
        page.wait_for_timeout(1200)


def thinking(stage, page):
    opened(stage, page)
    stream = Stream()
    stream.delta(reasoning_content="The user asks for the weather in two cities. I should call the tool for both, and then compare.")
    call = {"type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Turin", "unit": "celsius"}'}}
    stream.delta(tool_calls=[{"index": 0, "id": "call_1", **call}])
    stream.end(finish="tool_calls", tokens=41)
    ask(stage, page, "Is it warmer in Turin?", stream)
    page.locator(".thoughts summary").click()


def coming(stage, page):
    opened(stage, page)
    stream = Stream()
    stream.delta(content=ANSWER[:420])
    ask(stage, page, "What is a KV cache?", stream, wait=False)


def refused(stage, page):
    opened(stage, page)
    ask(stage, page, "Hello", give_error(400, '"messages": is too long: 5,120 tokens and an answer do not fit into the context of 4,096 tokens. Shorten the prompt, or start '
                                         'the server with --max-model-len', "messages"))


def loading(stage, page):
    stage.answers["/health"] = lambda request: give_json(request, 503, {"status": "loading"})
    page.goto(stage.url)
    page.fill("#composer-text", "What is a KV cache?")
    page.keyboard.press("Enter")


def receipt(stage, page):
    opened(stage, page)
    page.fill("#composer-text", "What is a KV cache?")
    page.keyboard.press("Enter")
    page.get_by_title("Receipt:").click()
    page.locator("dialog").get_by_text("Replay", exact=True).click()
    page.locator(".verdict.good").wait_for()


def card(stage, page):
    opened(stage, page)
    page.keyboard.press("Alt+3")


def live(stage, page):
    opened(stage, page)
    ask(stage, page, "What is a KV cache?", whole_answer(ANSWER, tokens=312))
    page.keyboard.press("Alt+2")
    page.wait_for_timeout(1500)


def palette(stage, page):
    answered(stage, page)
    page.keyboard.press("Control+k")


def settings(stage, page):
    opened(stage, page)
    page.keyboard.press("Alt+1")
    page.click(".more summary")
    page.fill("#set-temperature", "9")
    page.fill("#set-tools", "[{]")


def locked(stage, page):
    stage.answers["/v1/models"] = give_error(401, "a valid API key is needed")
    page.goto(stage.url)
    page.wait_for_selector("dialog")


def conversations(stage, page):
    answered(stage, page)
    page.click("#sidebar-open")


if __name__ == "__main__":
    browser.use_scratch_python()
    photographer = Photographer(sys.argv[1], sys.argv[2])
    wide = (empty, answered, real, thinking, coming, refused, loading, receipt, card, palette, settings, locked)
    try:
        for play in wide:
            for scheme in ("light", "dark"):
                photographer.visit(play.__name__, 1300, 860, scheme, play)
        for play in (empty, answered, thinking, refused, loading, receipt, card, settings, conversations):
            photographer.visit(play.__name__, 400, 800, "light", play)
        for play in (answered, live, refused):
            photographer.visit(play.__name__, 400, 800, "dark", play)
    finally:
        photographer.corbel.stop()
    photographer.browser.close()
    photographer.playwright.stop()
