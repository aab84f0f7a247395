"""The cases, a file for each area; importing them fills sheet.AREAS in this order."""
from cases import (chat, sampling, logprobs, structured, tools, messages, chat_stream, event_stream, completions, completions_logprobs,
                   embeddings, responses, response_stream, anthropic, models, refusals, bodies, texts, http_requests, http_framing, keys, extensions)

__all__ = ["chat", "sampling", "logprobs", "structured", "tools", "messages", "chat_stream", "event_stream", "completions",
           "completions_logprobs", "embeddings", "responses", "response_stream", "anthropic", "models", "refusals", "bodies", "texts", "http_requests",
           "http_framing", "keys", "extensions"]
