#include "apps/line_reader.h"

#include <histedit.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <system_error>

#include "apps/terminal.h"

namespace corbel::app {
namespace {

constexpr int kHistoryLines = 1000;

/// Waits for input. False when Ctrl-C came first, however short before: the signal is blocked between the look at the
/// flag and the wait.
bool wait_for_input() {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGINT);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  bool ready = false;
  while (!ready && !interrupted()) {
    pollfd waiting = {STDIN_FILENO, POLLIN, 0};
    const int found = ppoll(&waiting, 1, nullptr, &before);
    ready = found > 0 || (found < 0 && errno != EINTR);  // errors show in read()
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return ready;
}

/// One character of the terminal. The library's own reader starts again after a signal; this one ends the line, so that
/// Ctrl-C gives a new prompt.
int read_character(EditLine*, wchar_t* character) {
  std::mbstate_t state = {};
  while (wait_for_input()) {
    char byte = 0;
    const ssize_t count = read(STDIN_FILENO, &byte, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return static_cast<int>(count);
    if (byte == 0) continue;  // a Ctrl-D typed before the switch to single keys arrives so
    const std::size_t used = std::mbrtowc(character, &byte, 1, &state);
    if (used == static_cast<std::size_t>(-2)) continue;  // the first bytes of a longer character
    if (used != static_cast<std::size_t>(-1)) return 1;
    state = {};  // no character in this locale
  }
  return -1;
}

}  // namespace

struct LineReader::Editor {
  EditLine* line = nullptr;
  History* history = nullptr;
  HistEvent event = {};
  std::filesystem::path file;
  std::string prompt;

  static char* prompt_of(EditLine* line) {
    void* self = nullptr;
    el_get(line, EL_CLIENTDATA, &self);
    return static_cast<Editor*>(self)->prompt.data();
  }

  explicit Editor(std::filesystem::path history_file) : file(std::move(history_file)) {
    const char* locale = std::setlocale(LC_CTYPE, "");
    if (locale == nullptr || std::strcmp(locale, "C") == 0) std::setlocale(LC_CTYPE, "C.UTF-8");
    line = el_init("corbel", stdin, stderr, stderr);
    history = history_init();
    ::history(history, &event, H_SETSIZE, kHistoryLines);
    ::history(history, &event, H_SETUNIQUE, 1);
    el_set(line, EL_CLIENTDATA, this);
    el_set(line, EL_EDITOR, "emacs");
    el_set(line, EL_PROMPT, prompt_of);
    el_set(line, EL_HIST, ::history, history);
    el_set(line, EL_SIGNAL, 0);
    el_wset(line, EL_GETCFN, read_character);
    el_source(line, nullptr);
    if (!file.empty()) {
      std::error_code error;
      std::filesystem::create_directories(file.parent_path(), error);
      ::history(history, &event, H_LOAD, file.c_str());
    }
  }
  ~Editor() {
    if (!file.empty()) {
      const mode_t mask = umask(077);
      ::history(history, &event, H_SAVE, file.c_str());
      umask(mask);
    }
    history_end(history);
    el_end(line);
  }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;
};

LineReader::LineReader(std::filesystem::path history) {
  if (input_is_terminal() && errors_are_terminal()) editor_ = std::make_unique<Editor>(std::move(history));
}
LineReader::~LineReader() = default;

LineReader::Line LineReader::next(const std::string& prompt) {
  Line line;
  if (editor_ == nullptr) {
    for (int c = std::getchar(); c != '\n'; c = std::getchar()) {
      if (c == EOF) {
        if (interrupted()) return {"", End::interrupt};
        if (line.text.empty()) line.end = End::input;
        return line;
      }
      line.text += static_cast<char>(c);
    }
    return line;
  }
  editor_->prompt = prompt;
  el_set(editor_->line, EL_PREP_TERM, 1);  // before the prompt shows: who sees it may press Ctrl-D
  int length = 0;
  const char* text = el_gets(editor_->line, &length);
  if (interrupted()) {
    print_error_text("\n");
    return {"", End::interrupt};
  }
  if (text == nullptr || length <= 0) return {"", End::input};
  line.text.assign(text, static_cast<std::size_t>(length));
  while (line.text.ends_with('\n') || line.text.ends_with('\r')) line.text.pop_back();
  if (line.text.find_first_not_of(" \t") != std::string::npos) {
    ::history(editor_->history, &editor_->event, H_ENTER, line.text.c_str());
  }
  return line;
}

}  // namespace corbel::app
