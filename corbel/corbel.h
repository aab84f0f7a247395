/* The C interface of Corbel, and the only ABI: a model, conversations with it, and errors as objects.
 *
 * Every call that can fail returns null when all went well, or an error that the caller frees with corbel_error_free.
 * Text is UTF-8, ends with a zero byte and is copied by the library. Handles are freed with the function named after
 * them; null is fine. One thread at a time may use a model and its chats; corbel_chat_cancel may be called from any
 * thread. */
/* NOLINTBEGIN(readability-identifier-naming, modernize-use-using): this header is C. */
#ifndef CORBEL_CORBEL_H_
#define CORBEL_CORBEL_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CORBEL_API __attribute__((visibility("default")))

typedef struct corbel_error corbel_error;
typedef struct corbel_model corbel_model;
typedef struct corbel_chat corbel_chat;

/* "0.1.0" */
CORBEL_API const char* corbel_version(void);

/* Stable words for programs: "bad_file", "bad_request", "unsupported", "no_memory", "cancelled", "device_failed". */
CORBEL_API const char* corbel_error_code(const corbel_error* error);
/* For people: what was being done, what was expected, what was found, what to do. */
CORBEL_API const char* corbel_error_message(const corbel_error* error);
CORBEL_API void corbel_error_free(corbel_error* error);

/* Zero or null members mean the default. Set `size` to sizeof(corbel_model_options): members may be added at the end.
 */
typedef struct corbel_model_options {
  size_t size;
  int32_t threads;       /* 0: as many as this process may use */
  const char* isa_level; /* null: the best this machine has */
  const char* strategy;  /* "balanced" (default), "accuracy" */
} corbel_model_options;

/* Maps a model: a Hugging Face folder, an artifact (FILE.corbel, or FILE.corbel#PROFILE) or a GGUF file. Weights are
 * read when first used. */
CORBEL_API corbel_error* corbel_model_open(const char* folder, const corbel_model_options* options,
                                           corbel_model** model);
/* The numerics profile: "cpu/avx512bf16". Lives as long as the model. */
CORBEL_API const char* corbel_model_profile(const corbel_model* model);
CORBEL_API int64_t corbel_model_context(const corbel_model* model); /* tokens the model was made for */
CORBEL_API void corbel_model_free(corbel_model* model);

/* A conversation of at most context_tokens tokens (0: the model's, at most 4096). The model must outlive it. `system`
 * may be null. Memory for keys, values and scratch is taken here. */
CORBEL_API corbel_error* corbel_chat_open(corbel_model* model, const char* system, int64_t context_tokens,
                                          corbel_chat** chat);
CORBEL_API void corbel_chat_free(corbel_chat* chat);

typedef struct corbel_ask_options {
  size_t size;
  double temperature; /* 0: the most likely token */
  int64_t top_k;      /* 0: all */
  double top_p;       /* 0: all */
  double min_p;
  double repetition_penalty; /* 0: none */
  uint64_t seed;
  int64_t max_tokens; /* 0: until the context is full */
} corbel_ask_options;

/* Whole characters of the answer, in order; `text` is not ended by a zero byte. Return 0 to go on, anything else to
 * stop. */
typedef int (*corbel_text_callback)(const char* text, size_t bytes, void* user);

typedef struct corbel_answer {
  size_t size;           /* set by the caller: sizeof(corbel_answer) */
  int64_t prompt_tokens; /* of the whole conversation */
  int64_t cached_tokens; /* of these, kept from before */
  int64_t generated_tokens;
  double first_token_seconds;
  double decode_tokens_per_second;
  const char* finish_reason; /* "stop", "length", "cancelled" */
} corbel_answer;

/* Says `text` and streams the answer. Only what the conversation does not have cached is run. `options`, `callback` and
 * `answer` may be null. After an error the conversation is as it was before. */
CORBEL_API corbel_error* corbel_chat_ask(corbel_chat* chat, const char* text, const corbel_ask_options* options,
                                         corbel_text_callback callback, void* user, corbel_answer* answer);
/* Ends the answer that is being given, within one step. From any thread. */
CORBEL_API void corbel_chat_cancel(corbel_chat* chat);
/* Forgets all but the system message. */
CORBEL_API void corbel_chat_reset(corbel_chat* chat);

#ifdef __cplusplus
}
#endif

#endif /* CORBEL_CORBEL_H_ */
/* NOLINTEND(readability-identifier-naming, modernize-use-using) */
