#include "sim/validate/json.h"

#include <gtest/gtest.h>

#include <string>

namespace shardwise {
namespace {

using Kind = JsonValue::Kind;

std::string ErrorOf(std::string_view text, int64_t first_byte = 0) {
  const StatusOr<JsonValue> value = ParseJson(text, first_byte);
  return value.ok() ? "" : Message(value.status());
}

TEST(ParseJson, KindsAndPlaces) {
  const std::string text = R"( {"a" : [1, -2.5 ,true], "b":{"c":null},"d": "x\ny" ,"e":12345} )";
  const StatusOr<JsonValue> root = ParseJson(text, 100);
  ASSERT_TRUE(root.ok()) << Message(root.status());
  EXPECT_EQ(root->keys, (std::vector<std::string>{"a", "b", "d", "e"}));
  const JsonValue& list = *root->Find("a");
  ASSERT_EQ(list.items.size(), 3u);
  EXPECT_TRUE(list.items[0].Is(Kind::kInteger));
  EXPECT_EQ(list.items[0].integer, 1);
  EXPECT_EQ(list.items[0].number, 1);
  EXPECT_TRUE(list.items[1].Is(Kind::kNumber));
  EXPECT_EQ(list.items[1].number, -2.5);
  EXPECT_TRUE(list.items[2].boolean);
  EXPECT_TRUE(root->Find("b")->Find("c")->Is(Kind::kNull));
  EXPECT_EQ(root->Find("d")->text, "x\ny");
  EXPECT_EQ(root->Find("none"), nullptr);
  EXPECT_EQ(list.Find("a"), nullptr);
  // Every value begins where the text has it.
  EXPECT_EQ(root->at, 100 + static_cast<int64_t>(text.find('{')));
  EXPECT_EQ(list.at, 100 + static_cast<int64_t>(text.find('[')));
  EXPECT_EQ(list.items[0].at, 100 + static_cast<int64_t>(text.find('1')));
  EXPECT_EQ(list.items[1].at, 100 + static_cast<int64_t>(text.find('-')));
  EXPECT_EQ(list.items[2].at, 100 + static_cast<int64_t>(text.find("true")));
  EXPECT_EQ(root->Find("b")->at, 100 + static_cast<int64_t>(text.find("{\"c")));
  EXPECT_EQ(root->Find("b")->items[0].at, 100 + static_cast<int64_t>(text.find("null")));
  EXPECT_EQ(root->Find("d")->at, 100 + static_cast<int64_t>(text.find("\"x")));
  EXPECT_EQ(root->Find("e")->at, 100 + static_cast<int64_t>(text.find("12345")));
}

TEST(ParseJson, IntegersBeyondInt64AreNumbers) {
  EXPECT_EQ(ParseJson("9223372036854775807")->integer, INT64_MAX);
  EXPECT_EQ(ParseJson("-9223372036854775808")->integer, INT64_MIN);
  for (std::string_view text : {"9223372036854775808", "18446744073709551616", "1e3"}) {
    EXPECT_TRUE(ParseJson(text)->Is(Kind::kNumber)) << text;
  }
}

TEST(ParseJson, NamesTheByteOfWhatIsWrong) {
  EXPECT_TRUE(ErrorOf(R"({"a":NaN})", 8).starts_with("byte 13: not JSON: syntax error"))
      << ErrorOf(R"({"a":NaN})", 8);
  EXPECT_EQ(ErrorOf(R"({"a":1,"b":2,"a":3})"), "byte 17: a second value for the key \"a\"");
  EXPECT_TRUE(ErrorOf("").starts_with("byte 0: not JSON"));
  EXPECT_TRUE(ErrorOf("[1] 2").starts_with("byte 4: not JSON"));
  EXPECT_TRUE(ErrorOf("[1,]").starts_with("byte 3: not JSON"));
  EXPECT_TRUE(ErrorOf("[1e999]").starts_with("byte")) << ErrorOf("[1e999]");
  EXPECT_TRUE(ErrorOf("[Infinity]").starts_with("byte 1: not JSON"));
  EXPECT_TRUE(ErrorOf("\"\xff\"").starts_with("byte 1: not JSON")) << ErrorOf("\"\xff\"");
  EXPECT_TRUE(ErrorOf("\"\xc3\"").starts_with("byte 2: not JSON"));
  EXPECT_TRUE(ErrorOf("\"\\ud800\"").starts_with("byte"));
  EXPECT_TRUE(ErrorOf("// c\n1").starts_with("byte 0"));
}

// Each ends at the limit, not at the end of the text.
TEST(ParseJson, DepthAndNumberOfValuesAreBounded) {
  const std::string brackets(100000, '['), braces(kMaxJsonDepth - 1, '[');
  EXPECT_EQ(ErrorOf(brackets), "byte 16: nested more than 16 deep");
  std::string maps;
  for (int i = 0; i < 100000; ++i) maps += "{\"a\":";
  EXPECT_EQ(ErrorOf(maps), "byte 80: nested more than 16 deep");
  EXPECT_EQ(ErrorOf(braces + "[1]" + std::string(kMaxJsonDepth - 1, ']')), "");
  std::string many = "[0";
  for (int64_t i = 0; i < kMaxJsonValues; ++i) many += ",0";
  EXPECT_NE(ErrorOf(many + "]").find("more than 262144 values"), std::string::npos);
}

// A message stays short and printable whatever the text.
TEST(ParseJson, MessagesAreClipped) {
  const std::string error = ErrorOf("[" + std::string(1 << 20, '7') + "x]");
  EXPECT_FALSE(error.empty());
  EXPECT_LT(error.size(), 200u);
  EXPECT_LT(ErrorOf("\"" + std::string(1 << 20, 'y') + "\n\"").size(), 200u);
  EXPECT_EQ(Quoted("a\"b\n\x01\xff"), R"("a\"b\n\x01\xff")");
  EXPECT_LT(Quoted(std::string(1 << 20, 'z')).size(), 90u);
}

// Every prefix of a text is wrong, and none is read beyond its end.
TEST(ParseJson, EveryTruncationIsAnError) {
  const std::string text = R"({"a":[1,-2.5e3,true,null],"b":{"c":"d\u00e9"}})";
  ASSERT_EQ(ErrorOf(text), "");
  for (size_t n = 0; n < text.size(); ++n) {
    EXPECT_TRUE(ErrorOf(std::string(text, 0, n)).starts_with("byte ")) << n;
  }
}

}  // namespace
}  // namespace shardwise
