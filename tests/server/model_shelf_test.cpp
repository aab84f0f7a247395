#include "corbel/server/model_shelf.h"

#include <future>
#include <map>
#include <thread>

#include "tests/server/endpoint_fixture.h"

namespace corbel {
namespace {

struct CountedParrot final : OpenedParrot {
  CountedParrot(std::atomic<int>& all, const std::string& name, std::int64_t sequences, std::int64_t bytes)
      : OpenedParrot(name, sequences, bytes), count(all) {
    ++count;
  }
  ~CountedParrot() override { --count; }
  std::atomic<int>& count;
};

/// A server of several parrots, of 1000 bytes each.
struct Shelves : testing::Test {
  void open(std::vector<std::string> names, std::int64_t budget) {
    std::vector<ShelvedModel> models;
    for (const std::string& name : names) {
      ShelvedModel model{.name = name, .aliases = {name + "-alias"}};
      model.open = [this, name]() -> Result<std::unique_ptr<OpenedModel>> {
        ++opened;
        if (name == "broken") return fail(Code::bad_file, "broken.corbel: the file is gone");
        if (name == "greedy" && parrots > 0) return fail(Code::no_memory, "it does not fit beside another");
        auto parrot = std::make_unique<CountedParrot>(parrots, name, 4, name == "giant" ? 9000 : 1000);
        last_opened[name] = parrot.get();
        return std::unique_ptr<OpenedModel>(std::move(parrot));
      };
      models.push_back(std::move(model));
    }
    shelf.emplace(std::move(models), budget);
  }
  std::vector<std::string> open_models() {
    std::vector<std::string> names;
    for (const ModelShelf::Listed& listed : shelf->list()) {
      if (listed.model != nullptr) names.push_back(listed.name);
    }
    return names;
  }
  using Names = std::vector<std::string>;
  std::map<std::string, OpenedModel*> last_opened;
  std::atomic<int> opened = 0;
  std::atomic<int> parrots = 0;
  std::optional<ModelShelf> shelf;
};

TEST_F(Shelves, AModelIsOpenedWhenItIsFirstAskedFor) {
  open({"a", "b"}, 0);
  EXPECT_EQ(open_models(), Names{});
  EXPECT_EQ((*shelf->wait_for("b"))->name, "b");
  EXPECT_EQ((*shelf->wait_for("b-alias"))->name, "b");
  EXPECT_EQ(open_models(), Names{"b"});
  EXPECT_EQ((*shelf->wait_for(""))->name, "a") << "the first is the default";
  EXPECT_EQ(opened, 2);
  EXPECT_FALSE(shelf->wait_for("nobody"));
}

TEST_F(Shelves, AModelThatNeedsMoreGetsTheRoomOfThoseThatNobodyHolds) {
  open({"a", "b"}, 2500);
  std::function<Result<void>(std::int64_t)> more;
  {
    const ModelLease a = *shelf->wait_for("a");
    EXPECT_TRUE(shelf->wait_for("b"));
    EXPECT_EQ(open_models(), (Names{"a", "b"}));
    more = last_opened["a"]->reserve;
    EXPECT_TRUE(more(500)) << "there is room for both";
    EXPECT_EQ(open_models(), (Names{"a", "b"}));
    EXPECT_TRUE(more(900));
    EXPECT_EQ(open_models(), Names{"a"});
    const auto refused = more(200);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::no_memory);
    EXPECT_NE(refused.error().message.find("--max-model-bytes"), std::string::npos);
  }
  const ModelLease b = *shelf->wait_for("b");
  EXPECT_EQ(open_models(), Names{"b"}) << "a takes 2400 with what it has reserved";
  const ModelLease held = b;
  EXPECT_TRUE(last_opened["b"]->reserve(1500));
  EXPECT_FALSE(last_opened["b"]->reserve(1));
}

TEST_F(Shelves, TheOneNotUsedForLongestGivesItsRoom) {
  open({"a", "b", "c"}, 2000);
  for (const char* name : {"a", "b", "a", "c"}) ASSERT_TRUE(shelf->wait_for(name)) << name;
  EXPECT_EQ(open_models(), (Names{"a", "c"}));
  ASSERT_TRUE(shelf->wait_for("b"));
  EXPECT_EQ(open_models(), (Names{"b", "c"}));
}

TEST_F(Shelves, AModelThatIsHeldStaysAndTheRequestForAnotherWaits) {
  open({"a", "b"}, 1000);
  ModelLease held = *shelf->wait_for("a");
  std::promise<std::string> other;
  shelf->take("b", [&](Result<ModelLease> model) { other.set_value(model ? (*model)->name : model.error().message); });
  auto waiting = other.get_future();
  // When the shelf's thread has seen that, whoever comes for the first one waits behind: it is to be closed.
  std::future<std::string> again;
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  do {
    const auto promise = std::make_shared<std::promise<std::string>>();
    again = promise->get_future();
    shelf->take("a", [promise](Result<ModelLease> model) {
      promise->set_value(model ? (*model)->name : model.error().message);
    });
    std::this_thread::yield();
  } while (again.wait_for(std::chrono::seconds(0)) == std::future_status::ready &&
           std::chrono::steady_clock::now() < patience);
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  EXPECT_EQ(held->name, "a");
  held.reset();
  EXPECT_EQ(waiting.get(), "b");
  EXPECT_EQ(again.get(), "a");
  EXPECT_EQ(opened, 3);
}

TEST_F(Shelves, AModelLargerThanTheBudgetIsRefusedWithTheNumbers) {
  open({"a", "giant"}, 3000);
  ASSERT_TRUE(shelf->wait_for("a"));
  const auto refused = shelf->wait_for("giant");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::no_memory);
  EXPECT_NE(refused.error().message.find("9.00 kB"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(shelf->wait_for("a"));
}

TEST_F(Shelves, WhereTheMachineHasNoRoomOthersAreClosedFirst) {
  open({"a", "greedy"}, 0);
  ASSERT_TRUE(shelf->wait_for("a"));
  ASSERT_TRUE(shelf->wait_for("greedy"));
  EXPECT_EQ(open_models(), Names{"greedy"});
}

TEST_F(Shelves, AModelThatDoesNotOpenIsToldToEachAndTheOthersGoOn) {
  open({"a", "broken"}, 0);
  for (int i = 0; i < 2; ++i) {
    const auto refused = shelf->wait_for("broken");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "broken.corbel: the file is gone");
  }
  EXPECT_TRUE(shelf->wait_for("a"));
}

TEST_F(Shelves, StoppingRefusesWhoWaits) {
  open({"a", "b"}, 1000);
  const ModelLease held = *shelf->wait_for("a");
  std::promise<Code> refused;
  shelf->take("b", [&](const Result<ModelLease>& model) { refused.set_value(model.error().code); });
  shelf->stop();
  EXPECT_EQ(refused.get_future().get(), Code::cancelled);
  EXPECT_FALSE(shelf->wait_for("a"));
}

TEST_F(Shelves, ManyThreadsThatWantDifferentModelsAllGetThem) {
  open({"a", "b", "c"}, 2000);
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int thread = 0; thread < 6; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 30; ++i) {
        const std::string name(1, static_cast<char>('a' + (thread + i) % 3));
        const auto model = shelf->wait_for(name);
        if (model && (*model)->name == name && (*model)->engine->figures().running == 0) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 180);
  EXPECT_LE(open_models().size(), 2U);
}

}  // namespace
}  // namespace corbel
