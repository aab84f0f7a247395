#include "corbel/server/engine_thread.h"

#include <new>

namespace corbel {
namespace {

/// Rows of texts that become vectors in a step between two steps of answers: about what decoding a full batch costs,
/// so that answers come at half their rate at worst.
constexpr std::int64_t kRowsInCompany = 32;

}  // namespace

EngineThread::EngineThread(StepRunner& runner, const Tokenizer& tokenizer, const EngineOptions& options,
                           MakeRunner make_embedding_runner)
    : engine_(runner, tokenizer, counted(options)),
      make_embedding_runner_(std::move(make_embedding_runner)),
      figures_(engine_.figures()),
      thread_([this] { run(); }) {}

EngineOptions EngineThread::counted(const EngineOptions& options) {
  EngineOptions counting = options;
  counting.on_step = [this, then = options.on_step](const StepReport& report) {
    {
      const std::lock_guard lock(mutex_);
      step_tokens_.add(static_cast<double>(report.shape.decode_rows + report.shape.prompt_rows));
    }
    if (then) then(report);
  };
  return counting;
}

EngineThread::~EngineThread() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void EngineThread::post(Work work) {
  {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void EngineThread::post_embedding(EmbeddingWork work) {
  post([this, work = std::move(work)](Engine&) { work(embedder()); });
}

Result<Embedder*> EngineThread::embedder() {
  if (embedding_.embedder != nullptr) return embedding_.embedder.get();
  if (!make_embedding_runner_) return fail(Code::unsupported, "this model gives no vectors");
  CORBEL_ASSIGN(embedding_.runner, make_embedding_runner_());
  CORBEL_ASSIGN(Embedder made, Embedder::make(*embedding_.runner));
  embedding_.embedder = std::make_unique<Embedder>(std::move(made));
  return embedding_.embedder.get();
}

EngineFigures EngineThread::figures() const {
  const std::lock_guard lock(mutex_);
  return figures_;
}

Histogram EngineThread::step_tokens() const {
  const std::lock_guard lock(mutex_);
  return step_tokens_;
}

void EngineThread::cancel_all() {
  post([this](Engine&) { end_all(); });
}

void EngineThread::end_all() {
  engine_.cancel_all();
  if (embedding_.embedder != nullptr) embedding_.embedder->cancel_all();
}

void EngineThread::do_work() {
  for (const Work& work : taken_) {
    try {
      work(engine_);
    } catch (const std::bad_alloc&) {  // its own request is dropped with it, not everybody's
    }
  }
  taken_.clear();
}

void EngineThread::run() {
  bool busy = false;
  while (!stop_) {
    {
      std::unique_lock lock(mutex_);
      figures_ = engine_.figures();
      if (!busy) changed_.wait(lock, [this] { return stop_ || !work_.empty(); });
      taken_.swap(work_);
    }
    do_work();
    const bool answers = engine_.step(&stop_);
    const bool embeds =
        embedding_.embedder != nullptr && embedding_.embedder->step(&stop_, answers ? kRowsInCompany : 0);
    busy = answers || embeds;
  }
  {
    const std::lock_guard lock(mutex_);
    taken_.swap(work_);
  }
  do_work();
  end_all();
}

}  // namespace corbel
