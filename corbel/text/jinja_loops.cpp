#include <algorithm>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_interpreter.h"

namespace corbel::jinja {
namespace {

/// The variable `loop`. Templates may keep it beyond the loop, so it owns what it shows.
class Loop final : public Object, public std::enable_shared_from_this<Loop> {
 public:
  using Items = std::shared_ptr<const std::vector<Value>>;

  Loop(const Statement& statement, Items items, int depth)
      : statement_(statement), items_(std::move(items)), depth_(depth) {}

  Value attribute(std::string_view name) const override {
    const auto count = static_cast<std::int64_t>(items_->size());
    if (name == "index") return Value::integer(index_ + 1);
    if (name == "index0") return Value::integer(index_);
    if (name == "first") return Value::boolean(index_ == 0);
    if (name == "last") return Value::boolean(index_ + 1 == count);
    if (name == "length") return Value::integer(count);
    if (name == "revindex") return Value::integer(count - index_);
    if (name == "revindex0") return Value::integer(count - index_ - 1);
    if (name == "depth") return Value::integer(depth_ + 1);
    if (name == "depth0") return Value::integer(depth_);
    if (name == "previtem") {
      return index_ > 0 ? (*items_)[static_cast<std::size_t>(index_) - 1]
                        : Value::undefined("there is no previous item");
    }
    if (name == "nextitem") {
      return index_ + 1 < count ? (*items_)[static_cast<std::size_t>(index_) + 1]
                                : Value::undefined("there is no next item");
    }
    if (name == "cycle" || name == "changed") {
      return Value::object(std::make_shared<Method>(weak_from_this(), name == "cycle"));
    }
    return Object::attribute(name);
  }
  Value call(Interpreter& interpreter, CallArgs& args) override {
    if (!statement_.recursive) raise("the loop is not marked as recursive");
    if (args.positional.size() != 1) raise("loop() needs the items of the next level");
    return interpreter.run_loop(statement_, args.positional[0], depth_ + 1);
  }
  std::string describe() const override { return cat("<LoopContext ", index_ + 1, "/", items_->size(), ">"); }

  void advance() { ++index_; }
  void finish() {
    finished_ = true;
    last_changed_ = Value();  // it may hold this loop
  }

 private:
  /// loop.cycle and loop.changed.
  class Method final : public Object {
   public:
    Method(std::weak_ptr<const Loop> loop, bool cycle) : loop_(std::move(loop)), cycle_(cycle) {}
    Value call(Interpreter&, CallArgs& args) override {
      const std::shared_ptr<const Loop> loop = loop_.lock();
      if (loop == nullptr || loop->finished_) raise("a loop's method is called after the loop");
      if (cycle_) {
        if (args.positional.empty()) raise("loop.cycle() has nothing to cycle through");
        return args.positional[static_cast<std::size_t>(loop->index_) % args.positional.size()];
      }
      Value now = Value::list(args.positional, ListKind::tuple);
      if (equal(loop->last_changed_, now)) return Value::boolean(false);
      loop->last_changed_ = std::move(now);
      return Value::boolean(true);
    }
    std::string describe() const override { return "<method of loop>"; }

   private:
    std::weak_ptr<const Loop> loop_;
    bool cycle_;
  };

  const Statement& statement_;
  Items items_;
  int depth_;
  std::int64_t index_ = 0;
  bool finished_ = false;
  mutable Value last_changed_;
};

/// The item as a loop with a condition hands it on: what was unpacked becomes tuples.
Value as_unpacked(const Expression& target, const Value& item) {
  if (target.kind != ExpressionKind::tuple) return item;
  const std::vector<Value> items = iterate(item);
  std::vector<Value> parts;
  for (std::size_t i = 0; i < std::min(items.size(), target.parts.size()); ++i)
    parts.push_back(as_unpacked(*target.parts[i], items[i]));
  return Value::list(std::move(parts), ListKind::tuple);
}

/// Ends a loop however it is left.
struct LoopEnd {
  explicit LoopEnd(Loop& ended) : loop(ended) {}
  LoopEnd(const LoopEnd&) = delete;
  LoopEnd& operator=(const LoopEnd&) = delete;
  ~LoopEnd() { loop.finish(); }
  Loop& loop;
};

}  // namespace

void Interpreter::loop_over(const Statement& statement, const Value& over, int depth) {
  std::vector<Value> items = iterate(over);
  const std::shared_ptr<Scope> outside = scope_;
  const auto fresh_scope = [&] {
    scope_ = std::make_shared<Scope>();
    scope_->parent = outside;
  };
  if (statement.condition != nullptr) {
    std::vector<Value> kept;
    for (Value& item : items) {
      fresh_scope();
      assign(*statement.target, item);
      if (is_true(evaluate(*statement.condition))) kept.push_back(as_unpacked(*statement.target, item));
    }
    items = std::move(kept);
  }
  if (items.empty()) {
    scope_ = outside;
    run_scope(statement.otherwise);
    return;
  }
  charge(items.size() * sizeof(Value));
  const auto kept = std::make_shared<const std::vector<Value>>(std::move(items));
  const auto loop = std::make_shared<Loop>(statement, kept, depth);
  const LoopEnd end(*loop);
  bool finished_one = false;
  for (const Value& item : *kept) {
    step();
    fresh_scope();
    scope_->set("loop", Value::object(loop));
    assign(*statement.target, item);
    const Flow flow = run(statement.body);
    if (flow == Flow::leave_loop) break;
    finished_one = finished_one || flow == Flow::next;
    loop->advance();
  }
  scope_ = outside;
  // Jinja's else is for loops of which no round came to its end: break and continue leave it to run.
  if (!finished_one) run_scope(statement.otherwise);
}

Value Interpreter::run_loop(const Statement& statement, const Value& items, int depth) {
  const Deeper deeper(*this);
  std::string outside = std::exchange(output_, {});
  loop_over(statement, items, depth);
  return make_text(std::exchange(output_, std::move(outside)));
}

}  // namespace corbel::jinja
