#include "corbel/server/http_rules.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>

namespace corbel {
namespace {

bool is_unreserved(unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == '~'; }

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const int lower = std::tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::string path_of_target(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!same_word(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    if (!target.starts_with('/')) return "/";
    break;
  }
  target = target.substr(0, target.find('?'));
  std::string path;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] == '%' && i + 2 < target.size() && hex_digit(target[i + 1]) >= 0 && hex_digit(target[i + 2]) >= 0) {
      const auto byte = static_cast<unsigned char>(16 * hex_digit(target[i + 1]) + hex_digit(target[i + 2]));
      if (is_unreserved(byte)) {
        path += static_cast<char>(byte);
        i += 2;
        continue;
      }
    }
    path += target[i];
  }
  return path;
}

int refused_head(const HttpRequest& head, unsigned version) {
  constexpr unsigned kHttp11 = 11;
  constexpr int kBadRequest = 400, kNotImplemented = 501;
  const auto hosts = std::ranges::count_if(head.headers, [](const auto& field) { return field.first == "host"; });
  if (hosts > 1 || (hosts == 0 && version >= kHttp11)) return kBadRequest;
  for (const auto& [name, value] : head.headers) {
    if (name == "transfer-encoding" && !same_word(value, "chunked")) return kNotImplemented;
  }
  return 0;
}

bool expects_continue(const HttpRequest& head, unsigned version) {
  constexpr unsigned kHttp11 = 11;
  return version >= kHttp11 && same_word(head.header("expect"), "100-continue");
}

std::string http_date(std::chrono::system_clock::time_point time) {
  using namespace std::chrono;
  constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const sys_days day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<seconds>(time - day));
  std::array<char, 64> text{};
  const int length =
      std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT", kDays[weekday(day).c_encoding()],
                    static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
                    static_cast<int>(date.year()), static_cast<int>(clock.hours().count()),
                    static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()));
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace corbel
