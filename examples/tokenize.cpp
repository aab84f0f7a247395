// The tokenizer by itself: the text floor needs no model, no device, nothing above it.
//   tokenize FOLDER "some text"
#include <cstdio>

#include "corbel/text/tokenizer.h"

int main(int count, char** words) {
  if (count != 3) return std::puts("usage: tokenize FOLDER TEXT"), 2;
  const auto tokenizer = corbel::Tokenizer::load(words[1]);
  if (!tokenizer) return std::puts(tokenizer.error().message.c_str()), 1;
  const auto ids = tokenizer->encode(words[2]);
  if (!ids) return std::puts(ids.error().message.c_str()), 1;
  for (const auto id : *ids) std::printf("%d %s\n", id, std::string(tokenizer->piece(id)).c_str());
  std::puts(tokenizer->decode(*ids).c_str());
}
