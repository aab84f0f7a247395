#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

/// The text that bench/text measures with: 2/5 English, 3/10 Chinese, 3/10 code, in documents of 2 to 8 KB, mixed.
///   English  a chain of word pairs (who follows whom, as often) learnt from this repository's documents and, where
///   they
///            are there, the system's licences and documentation: real words at real frequencies, in an endless order
///   Chinese  430 words by Zipf's law, every other one from the four that usually follow the last; one in twelve is
///            new (two characters of the list): names and rare words
///   code     this repository's sources, then the system's C++ headers, each at most once
/// The generator is seeded: the same machine and sources give the same bytes.
namespace text_corpus {

using Random = std::mt19937_64;

inline std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

/// Files below `folder` with one of these endings (empty: any), sorted by path.
inline std::vector<std::filesystem::path> files(const std::filesystem::path& folder,
                                                std::initializer_list<std::string_view> endings) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  const auto options = std::filesystem::directory_options::skip_permission_denied;
  for (std::filesystem::recursive_directory_iterator at(folder, options, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename();
    if (at->is_directory() && (name == "build" || name.starts_with("."))) at.disable_recursion_pending();
    if (!at->is_regular_file()) continue;
    const bool wanted =
        endings.size() == 0 || std::ranges::any_of(endings, [&](auto end) { return name.ends_with(end); });
    if (wanted) found.push_back(at->path());
  }
  std::ranges::sort(found);
  return found;
}

/// Words with the white space before them, and who follows whom.
class English {
 public:
  void learn(std::string_view text) {
    std::size_t last = 0;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t stop = at;
      while (stop < text.size() && is_space(text[stop])) ++stop;
      while (stop < text.size() && !is_space(text[stop])) ++stop;
      const std::string word(text.substr(at, stop - at));
      const auto [found, added] = index_.try_emplace(word, words_.size());
      if (added) {
        words_.push_back(word);
        followers_.emplace_back();
      }
      if (at > 0) followers_[last].push_back(static_cast<std::uint32_t>(found->second));
      last = found->second;
      at = stop;
    }
  }
  bool empty() const { return words_.empty(); }
  std::size_t words() const { return words_.size(); }
  std::string write(std::size_t bytes, Random& random) const {
    std::string text;
    std::size_t word = random() % words_.size();
    while (text.size() < bytes) {
      text += words_[word];
      const auto& next = followers_[word];
      word = next.empty() ? random() % words_.size() : next[random() % next.size()];
    }
    return text;
  }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\0'; }
  std::map<std::string, std::size_t> index_;
  std::vector<std::string> words_;
  std::vector<std::vector<std::uint32_t>> followers_;
};

// By how common they are, roughly.
constexpr const char* kChineseWords =
    "\u7684 \u4e00 \u662f \u4e86 \u6211 \u4e0d \u4eba \u5728 \u4ed6 \u6709 \u8fd9 \u4e2a \u4e0a \u4eec \u6765 \u5230 "
    "\u65f6 \u5927 \u5730 \u4e3a \u5b50 \u4e2d \u4f60 \u8bf4 \u751f \u56fd \u5e74 \u7740 \u5c31 \u90a3 \u548c \u8981 "
    "\u5979 \u51fa \u4e5f \u5f97 \u91cc \u540e \u81ea\u5df1 \u4ee5 \u4f1a \u5bb6 \u53ef\u4ee5 \u4e0b \u800c \u8fc7 "
    "\u5929 \u53bb \u80fd \u5bf9 \u5c0f \u591a \u7136\u540e \u4e8e \u5fc3 \u5b66 \u4e48 \u4e4b \u90fd \u597d \u770b "
    "\u8d77\u6765 \u53d1\u5c55 \u5f53 \u6ca1\u6709 \u6210 \u53ea \u5982\u679c \u4e8b \u628a \u8fd8 \u7528 "
    "\u7b2c\u4e00 \u6837 \u9053 \u60f3 \u4f5c \u79cd \u5f00 \u6211\u4eec \u4ed6\u4eec \u4ec0\u4e48 \u56e0\u4e3a "
    "\u6240\u4ee5 \u4f46\u662f \u95ee\u9898 \u65f6\u5019 \u73b0\u5728 \u5df2\u7ecf \u77e5\u9053 \u5de5\u4f5c "
    "\u4e2d\u56fd \u8fdb\u884c \u793e\u4f1a \u7ecf\u6d4e \u6280\u672f \u6570\u636e \u6a21\u578b \u8bad\u7ec3 "
    "\u4f7f\u7528 \u7cfb\u7edf \u53ef\u80fd \u9700\u8981 \u901a\u8fc7 \u7814\u7a76 \u65b9\u6cd5 \u63d0\u51fa "
    "\u7ed3\u679c \u8868\u660e \u5176\u4e2d \u4ee5\u53ca \u4e4b\u95f4 \u65b9\u9762 \u90e8\u5206 \u4e3b\u8981 "
    "\u91cd\u8981 \u5f71\u54cd \u60c5\u51b5 \u8fc7\u7a0b \u5173\u7cfb \u63d0\u9ad8 \u63d0\u4f9b \u670d\u52a1 "
    "\u7528\u6237 \u4ea7\u54c1 \u516c\u53f8 \u4f01\u4e1a \u5e02\u573a \u7ba1\u7406 \u9879\u76ee \u4fe1\u606f "
    "\u7f51\u7edc \u5b89\u5168 \u7a0b\u5e8f \u4ee3\u7801 \u8bed\u8a00 \u6587\u672c \u6587\u4ef6 \u5185\u5b58 "
    "\u901f\u5ea6 \u6027\u80fd \u5904\u7406 \u8ba1\u7b97 \u8ba1\u7b97\u673a \u4eba\u5de5\u667a\u80fd \u673a\u5668 "
    "\u5b66\u4e60 \u6df1\u5ea6 \u795e\u7ecf\u7f51\u7edc \u7b97\u6cd5 \u53c2\u6570 \u8f93\u5165 \u8f93\u51fa "
    "\u5927\u89c4\u6a21 \u8bed\u6599 \u63a8\u7406 \u4f18\u5316 \u5b9e\u73b0 \u8bbe\u8ba1 \u6d4b\u8bd5 \u5e94\u7528 "
    "\u652f\u6301 \u529f\u80fd \u63a5\u53e3 \u670d\u52a1\u5668 \u8f6f\u4ef6 \u786c\u4ef6 \u82af\u7247 \u5e26\u5bbd "
    "\u5b58\u50a8 \u4e16\u754c \u56fd\u5bb6 \u653f\u5e9c \u4eba\u6c11 \u5386\u53f2 \u6587\u5316 \u6559\u80b2 "
    "\u5b66\u751f \u8001\u5e08 \u5b66\u6821 \u5927\u5b66 \u57ce\u5e02 \u5317\u4eac \u4e0a\u6d77 \u519c\u6751 "
    "\u751f\u6d3b \u5065\u5eb7 \u533b\u9662 \u533b\u751f \u73af\u5883 \u80fd\u6e90 \u79d1\u5b66 \u79d1\u6280 "
    "\u521b\u65b0 \u5b9e\u9a8c \u5206\u6790 \u7406\u8bba \u57fa\u7840 \u6761\u4ef6 \u76ee\u6807 \u4efb\u52a1 "
    "\u8ba1\u5212 \u4f1a\u8bae \u62a5\u544a \u65b0\u95fb \u8bb0\u8005 \u8868\u793a \u8ba4\u4e3a \u6307\u51fa "
    "\u4ecb\u7ecd \u4e86\u89e3 \u5e0c\u671b \u4eca\u5929 \u6628\u5929 \u660e\u5929 \u4eca\u5e74 \u53bb\u5e74 "
    "\u76ee\u524d \u672a\u6765 \u540c\u65f6 \u6b64\u5916 \u53e6\u5916 \u7136\u800c \u867d\u7136 \u4e0d\u8fc7 "
    "\u4f8b\u5982 \u6bd4\u5982 \u6839\u636e \u5173\u4e8e \u5bf9\u4e8e \u7531\u4e8e \u4e3a\u4e86 \u5e76\u4e14 "
    "\u6216\u8005 \u8fd8\u662f \u4e0d\u662f \u8fd9\u4e2a \u90a3\u4e2a \u4e00\u4e9b \u4e00\u4e2a \u4e00\u79cd "
    "\u8fd9\u4e9b \u90a3\u4e9b \u6bcf\u4e2a \u5f88\u591a \u975e\u5e38 \u66f4\u52a0 \u6bd4\u8f83 \u7279\u522b "
    "\u4e00\u822c \u901a\u5e38 \u9996\u5148 \u5176\u6b21 \u6700\u540e \u6700\u7ec8 \u5f00\u59cb \u7ed3\u675f "
    "\u7ee7\u7eed \u6210\u4e3a \u5f62\u6210 \u5efa\u7acb \u5efa\u8bbe \u6539\u9769 \u5f00\u653e \u589e\u957f "
    "\u4e0b\u964d \u589e\u52a0 \u51cf\u5c11 \u767e\u5206\u4e4b \u4e07\u5143 \u4ebf\u5143 \u7f8e\u5143 \u5de6\u53f3 "
    "\u4ee5\u4e0a \u4ee5\u4e0b \u4e4b\u540e \u4e4b\u524d \u671f\u95f4 \u8fc7\u53bb \u5168\u7403 \u56fd\u9645 "
    "\u7f8e\u56fd \u65e5\u672c \u6b27\u6d32 \u5408\u4f5c \u4ea4\u6d41 \u5173\u6ce8 \u6ce8\u610f \u9009\u62e9 "
    "\u51b3\u5b9a \u89e3\u51b3 \u4fdd\u62a4 \u4fdd\u8bc1 \u4fc3\u8fdb \u63a8\u52a8 \u52a0\u5f3a \u5b8c\u5584 "
    "\u5236\u5ea6 \u653f\u7b56 \u6cd5\u5f8b \u89c4\u5b9a \u6807\u51c6 \u8d28\u91cf \u6c34\u5e73 \u80fd\u529b "
    "\u4ef7\u503c \u4f5c\u7528 \u610f\u4e49 \u7279\u70b9 \u4f18\u52bf \u673a\u4f1a \u6311\u6218 \u98ce\u9669 "
    "\u8d23\u4efb \u6743\u5229 \u6d3b\u52a8 \u6bd4\u8d5b \u51a0\u519b \u7403\u961f \u7535\u5f71 \u97f3\u4e50 "
    "\u827a\u672f \u4f5c\u54c1 \u4f5c\u8005 \u6545\u4e8b \u5c0f\u8bf4 \u8bfb\u8005 \u670b\u53cb \u5b69\u5b50 "
    "\u7236\u6bcd \u5bb6\u5ead \u7231\u60c5 \u5e78\u798f \u5feb\u4e50 \u60b2\u4f24 \u65e9\u4e0a \u665a\u4e0a "
    "\u4e0b\u5348 \u5929\u6c14 \u6625\u5929 \u590f\u5929 \u79cb\u5929 \u51ac\u5929 \u5c71 \u6c34 \u6cb3 \u6d77 "
    "\u98ce \u96e8 \u82b1 \u6811 \u9e1f \u9c7c \u9a6c \u72d7 \u732b \u5403 \u559d \u8d70 \u8dd1 \u5750 \u7ad9 \u5199 "
    "\u8bfb \u542c \u505a \u4e70 \u5356 \u7ed9 \u8ba9 \u4f7f \u88ab \u4ece \u5411 \u4e0e \u53ca \u7b49 \u5c06 \u5df2 "
    "\u53c8 \u518d \u66f4 \u6700 \u5f88 \u592a \u771f \u65b0 \u65e7 \u9ad8 \u4f4e \u957f \u77ed \u5feb \u6162 \u65e9 "
    "\u665a \u4e1c \u897f \u5357 \u5317 \u524d \u5de6 \u53f3 \u5185 \u5916 \u4e24 \u4e09 \u56db \u4e94 \u516d \u4e03 "
    "\u516b \u4e5d \u5341 \u767e \u5343 \u4e07 \u4ebf \u873f\u8712 \u7480\u74a8 \u8e0c\u8e87 \u9955\u992e "
    "\u6c24\u6c32 \u8e1f\u8e70 \u71a0\u71a0\u751f\u8f89 \u4e0d\u8a00\u800c\u55bb \u4e3e\u8db3\u8f7b\u91cd "
    "\u7edc\u7ece\u4e0d\u7edd \u810d\u7099\u4eba\u53e3 \u6829\u6829\u5982\u751f";

class Chinese {
 public:
  Chinese() {
    std::stringstream list(kChineseWords);
    for (std::string word; list >> word;) words_.push_back(word);
    double sum = 0;
    for (std::size_t i = 0; i < words_.size(); ++i) {
      sum += 1.0 / static_cast<double>(i + 2);
      sums_.push_back(sum);
    }
  }
  std::string write(std::size_t bytes, Random& random) const {
    std::string text;
    std::size_t word = 0;
    int until_stop = 6;
    while (text.size() < bytes) {
      if (random() % 12 == 0) {
        for (int i = 0; i < 2; ++i) text += words_[common(random)].substr(0, 3);
      } else {
        word = random() % 2 == 0 ? (word * 31 + (random() % 4) * 97 + 17) % words_.size() : common(random);
        text += words_[word];
      }
      if (--until_stop > 0) continue;
      const std::size_t mark = random() % 8;
      text += mark < 4 ? "\uff0c" : mark < 6 ? "\u3002" : mark == 6 ? "\u3001" : "\u3002\n";
      until_stop = 3 + static_cast<int>(random() % 9);
    }
    return text;
  }

 private:
  std::size_t common(Random& random) const {
    const double at = static_cast<double>(random() >> 11) * 0x1p-53 * sums_.back();
    return static_cast<std::size_t>(std::ranges::lower_bound(sums_, at) - sums_.begin());
  }
  std::vector<std::string> words_;
  std::vector<double> sums_;
};

/// Whole UTF-8 characters only.
inline std::string_view clean_prefix(std::string_view text, std::size_t bytes) {
  std::size_t stop = std::min(bytes, text.size());
  while (stop > 0 && stop < text.size() && (static_cast<unsigned char>(text[stop]) & 0xC0) == 0x80) --stop;
  return text.substr(0, stop);
}

inline bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80 && c != '\0'; });
}

inline std::string make(std::size_t bytes, std::string& made_of) {
  const std::filesystem::path root = CORBEL_SOURCE_DIR;
  English english;
  std::size_t learnt = 0;
  const auto learn = [&](const std::filesystem::path& path) {
    const std::string text = read(path);
    if (learnt > 4'000'000 || !is_ascii(text)) return;
    english.learn(text);
    learnt += text.size();
  };
  for (const auto& path : files(root, {".md"})) learn(path);
  for (const auto& path : files("/usr/share/common-licenses", {})) learn(path);
  for (const auto& path : files("/usr/share/doc", {"README", ".txt", ".html", "NEWS"})) learn(path);
  std::string code;
  std::size_t sources = 0;
  for (const auto& folder : {root / "corbel", root / "tools", std::filesystem::path("/usr/include")}) {
    for (const auto& path : files(folder, {".h", ".cpp", ".py", ".hpp", ".c"})) {
      if (code.size() > bytes * 3 / 10) break;
      const std::string text = read(path);
      if (!is_ascii(text)) continue;
      code += text;
      ++sources;
    }
  }
  Random random(20260111);
  const Chinese chinese;
  std::string corpus;
  std::string_view code_left = code;
  std::size_t of_kind[3] = {0, 0, 0};
  while (corpus.size() < bytes) {
    const std::size_t size = 2048 + random() % 6144;
    const std::size_t draw = random() % 10;
    std::size_t kind = draw < 4 ? 0 : draw < 7 ? 1 : 2;
    if (kind == 2 && code_left.empty()) kind = 1;
    if (kind == 0 && english.empty()) kind = 1;
    const std::size_t before = corpus.size();
    if (kind == 0) corpus += english.write(size, random);
    if (kind == 1) corpus += chinese.write(size, random);
    if (kind == 2) {
      const std::string_view part = clean_prefix(code_left, size);
      corpus += part;
      code_left.remove_prefix(part.size());
    }
    of_kind[kind] += corpus.size() - before;
    corpus.push_back('\0');
  }
  std::ostringstream out;
  out << "corpus: " << corpus.size() << " bytes = " << of_kind[0] << " English (" << english.words()
      << " words chained by pairs from " << learnt << " bytes of documents) + " << of_kind[1] << " Chinese (Zipf) + "
      << of_kind[2] << " code (" << sources << " files)\n";
  made_of = out.str();
  return corpus;
}

}  // namespace text_corpus
