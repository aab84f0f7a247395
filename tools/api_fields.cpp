// Prints docs/api_fields.md: corbel_api_fields > docs/api_fields.md
#include <cstdio>

#include "corbel/chat/request_fields.h"

int main() { std::fputs(corbel::request_fields_page().c_str(), stdout); }
