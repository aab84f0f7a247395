#include "corbel/engine/stop_strings.h"

#include <algorithm>
#include <utility>

namespace corbel {

StopStrings::StopStrings(std::vector<std::string> stops, StopText text) : stops_(std::move(stops)), text_(text) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopStrings::push(std::string_view piece) {
  if (met()) return {};
  held_ += piece;
  std::size_t first = std::string::npos;
  for (std::size_t i = 0; i < stops_.size(); ++i) {
    const std::size_t found = held_.find(stops_[i]);
    if (found >= first) continue;
    first = found;
    met_ = i;
  }
  if (met()) {
    std::string out = held_.substr(0, first + (text_ == StopText::included ? stops_[met_].size() : 0));
    held_.clear();
    return out;
  }
  // The longest end of the text that is the beginning of some stop string stays back.
  std::size_t back = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t length = std::min(stop.size() - 1, held_.size()); length > back; --length) {
      if (std::string_view(held_).substr(held_.size() - length) != std::string_view(stop).substr(0, length)) continue;
      back = length;
      break;
    }
  }
  std::string out = held_.substr(0, held_.size() - back);
  held_.erase(0, out.size());
  return out;
}

std::string StopStrings::finish() { return std::exchange(held_, {}); }

}  // namespace corbel
