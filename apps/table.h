#pragma once
#include <string>
#include <vector>

namespace corbel::app {

/// Rows of text in columns. A column of numbers is aligned to the right: its heading begins with '>', which is not
/// shown.
class Table {
 public:
  explicit Table(std::vector<std::string> headings);
  void row(std::vector<std::string> cells);  // as many as headings
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;  // headings first
  std::vector<bool> right_;
};

/// "context        131072 tokens\n": a field and what it says.
std::string field_line(const std::string& name, const std::string& value);

}  // namespace corbel::app
