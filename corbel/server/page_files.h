#pragma once
#include <span>
#include <string_view>

namespace corbel {

/// A file of the page at /, as it lies in corbel/server/page: the build puts them all into the program.
struct PageFile {
  std::string_view name;  // "main.js"
  std::string_view etag;  // with its quotation marks
  std::string_view text;
};

std::span<const PageFile> page_files();  // generated: cmake/embed_page.cmake

}  // namespace corbel
