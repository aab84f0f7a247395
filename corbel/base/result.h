#pragma once
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "corbel/base/cat.h"
#include "corbel/base/check.h"

/// The world is wrong (a file, a request, a setting): the answer is a `Result`, and its error says what was being done,
/// what was expected, what was found, where it came from and what to do next.
namespace corbel {

enum class Code {
  bad_file,       // a file is missing, damaged or not what it claims to be
  bad_request,    // what the caller asked for cannot be done as asked
  unsupported,    // understood, but not offered here (op, format, model, device)
  no_memory,      // would not fit; the message names the sizes
  cancelled,      // the caller asked to stop
  device_failed,  // reported by a device at finish()
};

/// Stable spelling for machines: "bad_file", "bad_request", ...
std::string_view code_name(Code code);

struct Error {
  Code code = Code::bad_request;
  std::string message;
};

/// Wraps an error on its way into a Result<T>, like std::unexpected.
struct Failure {
  Error error;
};

[[nodiscard]] inline Failure fail(Code code, std::string message) { return Failure{Error{code, std::move(message)}}; }

/// A value or an Error; the subset of std::expected's interface that we use.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Failure failure)
      : state_(std::in_place_index<1>, std::move(failure.error)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& value() & {
    CORBEL_CHECK(has_value(), "value() of a failed Result: ", error_text());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    CORBEL_CHECK(has_value(), "value() of a failed Result: ", error_text());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    CORBEL_CHECK(has_value(), "value() of a failed Result: ", error_text());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    CORBEL_CHECK(!has_value(), "error() of a successful Result");
    return *std::get_if<1>(&state_);
  }

 private:
  std::string_view error_text() const { return has_value() ? std::string_view() : std::get_if<1>(&state_)->message; }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Failure failure) : error_(std::move(failure.error)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }
  void value() const { CORBEL_CHECK(has_value(), "value() of a failed Result: ", error_->message); }
  const Error& error() const {
    CORBEL_CHECK(!has_value(), "error() of a successful Result");
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

/// Puts `context` in front of a failed result's message: "cannot load X: ...".
template <typename T>
[[nodiscard]] Failure forward_failure(const Result<T>& failed, std::string_view context = {}) {
  Error error = failed.error();
  if (!context.empty()) error.message = cat(context, ": ", error.message);
  return Failure{std::move(error)};
}

}  // namespace corbel

/// Returns the error of a failed Result from the enclosing function; otherwise goes on.
#define CORBEL_TRY(expression)                                       \
  do {                                                               \
    if (auto corbel_try_result = (expression); !corbel_try_result) { \
      return ::corbel::forward_failure(corbel_try_result);           \
    }                                                                \
  } while (false)

/// CORBEL_ASSIGN(auto x, make_x()): returns the error, or moves the value into the declaration on the left.
#define CORBEL_ASSIGN_JOIN2(a, b) a##b
#define CORBEL_ASSIGN_JOIN(a, b) CORBEL_ASSIGN_JOIN2(a, b)
#define CORBEL_ASSIGN(declaration, expression) \
  CORBEL_ASSIGN_AS(CORBEL_ASSIGN_JOIN(corbel_assign_, __LINE__), declaration, expression)
#define CORBEL_ASSIGN_AS(temporary, declaration, expression)   \
  auto temporary = (expression);                               \
  if (!temporary) return ::corbel::forward_failure(temporary); \
  declaration = *std::move(temporary)
