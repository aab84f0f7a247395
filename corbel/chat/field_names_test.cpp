#include "corbel/chat/field_names.h"

#include <gtest/gtest.h>

namespace corbel {
namespace {

TEST(FieldNames, ReplaceAPathAndWhatStandsBelowItByTheLongestThatFits) {
  FieldNames names;
  names.add("messages", "input");
  names.add("messages[1]", "input[4]");
  names.add("messages[1].tool_calls[0].function", "input[5]");
  EXPECT_EQ(names.rename("\"messages\" is 7"), "\"input\" is 7");
  EXPECT_EQ(names.rename("\"messages[1].content\" is 7"), "\"input[4].content\" is 7");
  EXPECT_EQ(names.rename("\"messages[1].tool_calls[0].function.name\" is 7"), "\"input[5].name\" is 7");
  EXPECT_EQ(names.rename("\"messages[10].content\" is 7"), "\"input[10].content\" is 7") << "another message";
  EXPECT_EQ(names.rename("\"messages_too\" is 7"), "\"messages_too\" is 7");
}

TEST(FieldNames, ReplaceEveryPathOfAText) {
  FieldNames names;
  names.add("stop", "stop_sequences");
  EXPECT_EQ(names.rename("\"stop[0]\" or \"tools\" and \"stop\", said \"x"),
            "\"stop_sequences[0]\" or \"tools\" and \"stop_sequences\", said \"x");
  EXPECT_EQ(names.rename(""), "");
  EXPECT_EQ(names.rename("stop"), "stop") << "no field";
}

}  // namespace
}  // namespace corbel
