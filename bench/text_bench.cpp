// text_bench MODE ...: what bench/text is made of. It measures the tokenizer alone, one thread.
//   corpus FILE BYTES      writes documents, with a zero byte after each (bench/text_corpus.h says of what)
//   serve CORPUS           answers lines on stdin: "load FOLDER" -> milliseconds, "run" -> seconds for all documents,
//                          "ids" -> number and hash of the ids of all documents, "ids N" -> the ids of document N
//   growth FOLDER          seconds for adversarial texts of 64 KB to 4 MB
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>

#include "bench/text_corpus.h"
#include "corbel/text/tokenizer.h"

namespace {

using namespace corbel;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

std::vector<std::string_view> documents_of(std::string_view corpus) {
  std::vector<std::string_view> documents;
  while (!corpus.empty()) {
    const std::size_t stop = corpus.find('\0');
    documents.push_back(corpus.substr(0, stop));
    if (stop == std::string_view::npos) break;
    corpus.remove_prefix(stop + 1);
  }
  return documents;
}

void refuse(const Error& error) {
  std::fprintf(stderr, "text_bench: %s\n", error.message.c_str());
  std::exit(1);
}

std::vector<std::int32_t> ids_of(const Tokenizer& tokenizer, std::string_view text) {
  auto ids = tokenizer.encode(text, {.add_special_tokens = false});
  if (!ids) refuse(ids.error());
  return *std::move(ids);
}

/// FNV-1a over the ids as 32-bit words, so that any language can compute it.
struct IdHash {
  std::uint64_t value = 0xCBF29CE484222325ULL;
  void add(std::int32_t id) { value = (value ^ static_cast<std::uint32_t>(id)) * 0x100000001B3ULL; }
};

int serve(const std::string& path) {
  const std::string corpus = read_file(path);
  const std::vector<std::string_view> documents = documents_of(corpus);
  std::unique_ptr<Tokenizer> tokenizer;
  for (std::string line; std::getline(std::cin, line);) {
    if (line.starts_with("load ")) {
      tokenizer.reset();
      const double begin = seconds_now();
      auto made = Tokenizer::load(line.substr(5));
      const double seconds = seconds_now() - begin;
      if (!made) {
        std::printf("refused %s\n", made.error().message.c_str());
      } else {
        tokenizer = std::make_unique<Tokenizer>(*std::move(made));
        std::printf("%.3f\n", seconds * 1e3);
      }
    } else if (tokenizer != nullptr && line == "run") {
      const double begin = seconds_now();
      std::size_t count = 0;
      for (const std::string_view document : documents) count += ids_of(*tokenizer, document).size();
      std::printf("%.6f %zu\n", seconds_now() - begin, count);
    } else if (tokenizer != nullptr && line == "ids") {
      IdHash hash;
      std::size_t count = 0;
      for (const std::string_view document : documents) {
        for (const std::int32_t id : ids_of(*tokenizer, document)) {
          hash.add(id);
          ++count;
        }
      }
      std::printf("%zu %016llx\n", count, static_cast<unsigned long long>(hash.value));
    } else if (tokenizer != nullptr && line.starts_with("ids ")) {
      for (const std::int32_t id : ids_of(*tokenizer, documents.at(std::stoul(line.substr(4))))) std::printf("%d ", id);
      std::printf("\n");
    } else {
      std::printf("unknown: %s\n", line.c_str());
    }
    std::fflush(stdout);
  }
  return 0;
}

std::string repeated(std::string_view unit, std::size_t bytes) {
  std::string text;
  text.reserve(bytes + unit.size());
  while (text.size() + unit.size() <= bytes) text += unit;
  return text;
}

std::string long_word(std::size_t bytes) {
  std::string text(bytes, 'a');
  std::uint32_t state = 7;
  for (char& c : text) {
    state = state * 1664525U + 1013904223U;
    c = static_cast<char>('a' + (state >> 16) % 26);
  }
  return text;
}

struct Adversary {
  const char* name;
  std::string (*make)(std::size_t bytes);
};
constexpr Adversary kAdversaries[] = {
    {"one_letter", [](std::size_t bytes) { return std::string(bytes, 'a'); }},
    {"spaces", [](std::size_t bytes) { return std::string(bytes, ' '); }},
    {"newlines", [](std::size_t bytes) { return std::string(bytes, '\n'); }},
    {"digits", [](std::size_t bytes) { return std::string(bytes, '7'); }},
    {"equals_signs", [](std::size_t bytes) { return std::string(bytes, '='); }},
    {"long_word", long_word},
    {"combining_marks", [](std::size_t bytes) { return "e" + repeated("\u0301\u0323", bytes - 1); }},
    {"one_han", [](std::size_t bytes) { return repeated("\u4e2d", bytes); }},
    {"emoji_joined", [](std::size_t bytes) { return repeated("\U0001F469\u200d", bytes); }},
    {"words", [](std::size_t bytes) { return repeated("the quick brown fox ", bytes); }},
};

int growth(const std::string& folder) {
  auto tokenizer = Tokenizer::load(folder);
  if (!tokenizer) refuse(tokenizer.error());
  for (const Adversary& adversary : kAdversaries) {
    std::printf("%s", adversary.name);
    for (std::size_t bytes = 64 << 10; bytes <= 4 << 20; bytes *= 4) {
      const std::string text = adversary.make(bytes);
      double best = 1e9;
      for (int run = 0; run < (bytes > 1 << 20 ? 2 : 3); ++run) {
        const double begin = seconds_now();
        ids_of(*tokenizer, text);
        best = std::min(best, seconds_now() - begin);
      }
      std::printf(" %.6f", best);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode.empty() || mode.starts_with("--benchmark")) {  // run with all other benchmark programs
    std::printf("text into ids: run bench/text\n");
    return 0;
  }
  if (mode == "corpus" && argc == 4) {
    std::string made_of;
    const std::string corpus = text_corpus::make(std::stoul(argv[3]), made_of);
    std::ofstream(argv[2], std::ios::binary) << corpus;
    std::printf("%s", made_of.c_str());
    return 0;
  }
  if (mode == "serve" && argc == 3) return serve(argv[2]);
  if (mode == "growth" && argc == 3) return growth(argv[2]);
  std::fprintf(stderr, "text_bench corpus FILE BYTES | serve CORPUS | growth FOLDER (bench/text runs them all)\n");
  return 2;
}
