#pragma once
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "corbel/base/json.h"

namespace corbel {

/// The objects of a stream whose events have types: each has the type that its object names, and nothing stands
/// between.
inline std::vector<Json> typed_events(const std::string& text) {
  std::vector<Json> objects;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find("\n\n", at);
    const std::string event = text.substr(at, end - at);
    const std::size_t line = event.find('\n');
    EXPECT_TRUE(event.starts_with("event: ")) << event;
    EXPECT_EQ(event.substr(line + 1, 6), "data: ") << event;
    objects.push_back(Json::parse(event.substr(line + 7)));
    EXPECT_EQ(event.substr(7, line - 7), objects.back()["type"].get<std::string>());
    at = end + 2;
  }
  return objects;
}

/// The items of a response as its events alone build them.
inline Json built_items(const std::vector<Json>& events) {
  Json items = Json::array();
  for (const Json& event : events) {
    const std::string type = event["type"];
    if (!event.contains("output_index")) continue;
    const std::size_t index = event["output_index"];
    if (type == "response.output_item.added") {
      EXPECT_EQ(index, items.size());
      items.push_back(event["item"]);
      EXPECT_EQ(items.back()["status"], "in_progress");
      continue;
    }
    Json& item = items[index];
    if (event.contains("item_id")) {
      EXPECT_EQ(event["item_id"], item["id"]);
    }
    if (type == "response.content_part.added") item["content"].push_back(event["part"]);
    if (type == "response.function_call_arguments.delta") item["arguments"].get_ref<std::string&>() += event["delta"];
    if (type == "response.function_call_arguments.done") {
      EXPECT_EQ(item["arguments"], event["arguments"]);
    }
    if (type == "response.output_text.delta" || type == "response.reasoning_text.delta")
      item["content"][0]["text"].get_ref<std::string&>() += event["delta"];
    if (type == "response.output_text.delta") {
      for (const Json& one : event["logprobs"]) item["content"][0]["logprobs"].push_back(one);
    }
    if (type.ends_with("_text.done")) {
      EXPECT_EQ(item["content"][0]["text"], event["text"]);
    }
    if (type == "response.content_part.done") {
      EXPECT_EQ(item["content"][0], event["part"]);
    }
    if (type == "response.output_item.done") {
      item["status"] = event["item"]["status"];
      EXPECT_EQ(item, event["item"]);
    }
  }
  return items;
}

inline Json without_ids(Json items) {
  for (Json& item : items) {
    for (const char* name : {"id", "call_id"}) item.erase(name);
  }
  return items;
}

}  // namespace corbel
