// Prints docs/api_fields.md: corbel_api_fields > docs/api_fields.md
// and what fuzzing has of the same table: corbel_api_fields --dictionary > fuzz/chat_body.dict
#include <cstdio>
#include <string_view>

#include "corbel/chat/request_fields.h"

int main(int count, char** words) {
  const bool is_dictionary = count > 1 && std::string_view(words[1]) == "--dictionary";
  std::fputs((is_dictionary ? corbel::request_fields_dictionary() : corbel::request_fields_page()).c_str(), stdout);
}
