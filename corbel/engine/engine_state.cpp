// Sequences of an engine in files: what they have cached, for another process or a later day.
#include "corbel/engine/answer.h"
#include "corbel/engine/engine.h"
#include "corbel/engine/session_file.h"

namespace corbel {

Result<std::int64_t> Engine::save_state(std::uint64_t id, const std::filesystem::path& path,
                                        const RunIdentity& identity) const {
  const auto group = groups_.find(id);
  if (group == groups_.end()) return fail(Code::bad_request, cat("there is no request ", id, " under way"));
  if (group->second->request.choices != 1)
    return fail(Code::bad_request, cat("request ", id, " has ", group->second->request.choices,
                                       " choices; the state of one answer can be saved"));
  const Sequence& sequence = group->second->answers.front()->sequence;
  if (!sequence.runs() || sequence.cached == 0)
    return fail(Code::bad_request, cat("nothing of request ", id, " is cached: it waits"));
  const auto cached = std::span(sequence.tokens).first(static_cast<std::size_t>(sequence.cached));
  CORBEL_TRY(save_sequence(path, identity, *runner_, cached, sequence.pages));
  return sequence.cached;
}

Result<std::int64_t> Engine::save_state(std::span<const std::int32_t> tokens, const std::filesystem::path& path,
                                        const RunIdentity& identity, const std::string& salt) {
  std::int64_t saved = 0;
  CORBEL_TRY(scheduler_.show_cached({tokens.begin(), tokens.end()}, salt,
                                    [&](std::int64_t count, const SequencePages& pages) -> Result<void> {
                                      if (count == 0) return fail(Code::bad_request, "nothing of the tokens is cached");
                                      saved = count;
                                      const auto cached = tokens.first(static_cast<std::size_t>(count));
                                      return save_sequence(path, identity, *runner_, cached, pages);
                                    }));
  return saved;
}

Result<std::int64_t> Engine::load_state(const std::filesystem::path& path, const RunIdentity& identity,
                                        const std::string& salt) {
  CORBEL_ASSIGN(const SequenceFile file, SequenceFile::open(path));
  CORBEL_TRY(file.check_fits(identity, *runner_));
  for (const std::int32_t id : file.tokens()) {
    if (id < 0 || id >= runner_->model().info().vocab)
      return fail(Code::bad_file, cat("cannot go on from ", path.string(), ": it has token ", id));
  }
  CORBEL_TRY(scheduler_.adopt(
      file.tokens(), salt, [&](std::int64_t, const SequencePages& pages) { return file.read_pages(*runner_, pages); }));
  return std::ssize(file.tokens());
}

}  // namespace corbel
