"""The server under test: questions in OpenAI's terms, answers as they came."""
import json

from sheet import Lost, Unjudged, expect
from wire import Wire

QUESTION = [{"role": "user", "content": "What is a KV cache?"}]
QUESTIONS = ["What is a KV cache?", "Tell me a long story about the sea.", "Count from one to fifty in words.", "Explain how a bicycle works."]
CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"


class Stream:
    """A streamed answer: its events, and what they say joined."""

    def __init__(self, reply):
        self.reply = reply
        self.events = split_events(reply.body)
        data = [event.data for event in self.events if event.data is not None]
        self.done = bool(data) and data[-1] == "[DONE]"
        self.chunks = [json.loads(text) for text in data if text != "[DONE]"]

    def choices(self, index=0):
        return [choice for chunk in self.chunks for choice in chunk["choices"] if choice["index"] == index]

    def content(self, index=0):
        return "".join(choice["delta"].get("content") or "" for choice in self.choices(index))

    def finish(self, index=0):
        return [choice["finish_reason"] for choice in self.choices(index) if choice.get("finish_reason") is not None]

    def logprobs(self, index=0):
        lists = [choice["logprobs"]["content"] or [] for choice in self.choices(index) if choice.get("logprobs")]
        return [token for part in lists for token in part]

    def calls(self, index=0):
        """[{"id", "name", "arguments"}] put together from deltas."""
        calls = {}
        for choice in self.choices(index):
            for delta in choice["delta"].get("tool_calls") or []:
                call = calls.setdefault(delta["index"], {"id": "", "name": "", "arguments": ""})
                call["id"] += delta.get("id") or ""
                call["name"] += delta.get("function", {}).get("name") or ""
                call["arguments"] += delta.get("function", {}).get("arguments") or ""
        return [calls[i] for i in sorted(calls)]


class Event:
    def __init__(self, raw):
        self.raw = raw
        self.fields = []
        for line in raw.split(b"\n"):
            line = line.rstrip(b"\r")
            if line and not line.startswith(b":"):
                name, _, value = line.partition(b":")
                self.fields.append((name.decode(), value.removeprefix(b" ").decode("utf-8", "surrogateescape")))
        data = [value for name, value in self.fields if name == "data"]
        self.data = "\n".join(data) if data else None


def split_events(body):
    text = body.replace(b"\r\n", b"\n")
    return [Event(part) for part in text.split(b"\n\n") if part.strip(b"\n")]


class Target:
    def __init__(self, base_url, key=None, model=None, timeout=60.0):
        self.wire = Wire(base_url, key, timeout)
        self.key = key
        self._model, self._tokenizes, self._forced = model, None, None

    @property
    def model(self):
        if self._model is None:
            self._model = self.get("/v1/models").json()["data"][0]["id"]
        return self._model

    def get(self, path, **options):
        return self.wire.request("GET", path, **options)

    def post(self, path, body, **options):
        return self.wire.request("POST", path, body, **options)

    def offers(self, path, body):
        return self.post(path, body).status not in (404, 405, 501)

    def good(self, path, fields):
        """An answer of 200."""
        reply = self.post(path, {"model": self.model, **fields})
        if reply.status != 200:
            raise Lost("status 200", f"{reply.status} {reply.body.decode(errors='replace')}")
        return reply

    def answer(self, path, fields):
        """The object of an answer of 200."""
        return self.good(path, fields).json()

    def refused(self, path, fields, status=400):
        """The error of an answer that is none."""
        reply = self.post(path, fields)
        expect(reply.status == status, f"status {status}", f"{reply.status} {reply.body.decode(errors='replace')}")
        return reply.json()["error"]

    def stream(self, path, fields):
        return Stream(self.good(path, {"stream": True, **fields}))

    def chat(self, **fields):
        return self.answer(CHAT, {"messages": QUESTION, "max_tokens": 8, "temperature": 0, **fields})

    def text(self, **fields):
        return self.chat(**fields)["choices"][0]["message"]["content"]

    def chat_refused(self, **fields):
        return self.refused(CHAT, {"model": self.model, "messages": QUESTION, "max_tokens": 4, **fields})

    def chat_stream(self, **fields):
        return self.stream(CHAT, {"messages": QUESTION, "max_tokens": 8, "temperature": 0, **fields})

    def response_fields(self, **fields):
        return {"input": "What is a KV cache?", "max_output_tokens": 16, "temperature": 0, **fields}

    def response(self, **fields):
        return self.answer(RESPONSES, self.response_fields(**fields))

    def response_reply(self, **fields):
        return self.good(RESPONSES, self.response_fields(**fields))

    def response_events(self, **fields):
        data = [event.data for event in split_events(self.response_reply(stream=True, **fields).body)]
        return [json.loads(text) for text in data if text is not None and text != "[DONE]"]

    def message_fields(self, **fields):
        return {"messages": QUESTION, "max_tokens": 8, "temperature": 0, **fields}

    def message(self, **fields):
        return self.answer(MESSAGES, self.message_fields(**fields))

    def message_reply(self, **fields):
        return self.good(MESSAGES, self.message_fields(**fields))

    def long_answer(self, characters=40, **fields):
        """(messages, text): a greedy answer with at least so many characters, whatever the model."""
        for question in QUESTIONS:
            messages = [{"role": "user", "content": question}]
            text = self.text(messages=messages, max_tokens=60, **fields)
            if len(text) >= characters:
                return messages, text
        raise Unjudged(f"none of {len(QUESTIONS)} answers has {characters} characters")

    def token_ids(self, text):
        """By an endpoint that is no part of OpenAI's specification."""
        reply = self.post("/tokenize", {"prompt": text, "content": text, "add_special_tokens": False})
        if reply.status != 200:
            raise Unjudged("ids of tokens are not told: no /tokenize")
        return reply.json()["tokens"]

    def forced_tokens(self):
        """[(id, text)]: two tokens that a bias of 100 forces, with different plain texts."""
        if self._forced is None:
            found = []
            for token in range(300, 1200, 37):
                answer = self.chat(logit_bias={str(token): 100}, max_tokens=3)["choices"][0]
                text = answer["message"]["content"] or ""
                third = text[:len(text) // 3]
                if third.strip() and third.isascii() and text == third * 3 and all(third != other for _, other in found):
                    found.append((token, third))
                if len(found) == 2:
                    break
            if len(found) < 2:
                raise Lost("a bias of 100 to force its token three times", "no token that it does")
            self._forced = found
        return self._forced

    def context_tokens(self):
        for model in self.get("/v1/models").json()["data"]:
            for value in (model.get("max_model_len"), (model.get("meta") or {}).get("n_ctx"), model.get("context_length")):
                if isinstance(value, int):
                    return value
        return 131072
