#include "sim/config/yaml.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/base/embedded.h"

namespace shardwise {
namespace {

YamlNode Plain(std::string text) {
  YamlNode node;
  node.text = std::move(text);
  return node;
}

std::string ErrorOf(std::string_view text) {
  const StatusOr<YamlNode> parsed = ParseYaml(text, "f.yml");
  return parsed.ok() ? "ok" : Message(parsed.status());
}

TEST(Yaml, TreeWithPositions) {
  const StatusOr<YamlNode> root = ParseYaml("# c\na: 1\nlist:\n- x\n- [y, 'z: w']\nempty:\n", "f");
  ASSERT_TRUE(root.ok()) << Message(root.status());
  ASSERT_TRUE(root->IsMap());
  ASSERT_EQ(root->keys.size(), 3u);
  EXPECT_EQ(root->keys[0].line, 2);
  EXPECT_EQ(root->Find("a")->column, 4);
  const YamlNode& list = *root->Find("list");
  ASSERT_EQ(list.children.size(), 2u);
  EXPECT_EQ(list.children[0].line, 4);
  EXPECT_EQ(list.children[1].children[1].text, "z: w");
  EXPECT_TRUE(list.children[1].children[1].quoted);
  EXPECT_EQ(list.children[1].children[0].column, 4);
  EXPECT_TRUE(root->Find("empty")->IsNull());
  EXPECT_EQ(root->Find("empty")->line, 6);
  EXPECT_EQ(root->Find("absent"), nullptr);
  EXPECT_EQ(root->ToFlow(), "{a: 1, list: [x, [y, 'z: w']], empty: null}");
}

TEST(Yaml, LineEndsAndByteOrderMarkDoNotMatter) {
  const StatusOr<YamlNode> unix_text = ParseYaml("a: 1\nb: [x, y]\n", "f");
  const StatusOr<YamlNode> dos_text = ParseYaml(
      "\xEF\xBB\xBF"
      "a: 1\r\nb: [x, y]\r\n",
      "f");
  ASSERT_TRUE(unix_text.ok() && dos_text.ok());
  EXPECT_EQ(unix_text->ToFlow(), dos_text->ToFlow());
  EXPECT_EQ(unix_text->Find("b")->column, dos_text->Find("b")->column);
}

TEST(Yaml, EmptyTextIsAnEmptyMap) {
  for (std::string_view text : {"", "\n\n", "# only a comment\n"}) {
    const StatusOr<YamlNode> root = ParseYaml(text, "f");
    ASSERT_TRUE(root.ok()) << text;
    EXPECT_TRUE(root->IsMap() && root->keys.empty()) << text;
  }
}

TEST(Yaml, ScalarsReadAsInYaml11) {
  EXPECT_EQ(Plain("150_001").AsInt(), 150001);
  EXPECT_EQ(Plain("-1").AsInt(), -1);
  EXPECT_EQ(Plain("+7").AsInt(), 7);
  EXPECT_EQ(Plain("2.0").AsInt(), 2);
  EXPECT_EQ(Plain("1e3").AsInt(), 1000);
  EXPECT_EQ(Plain("9223372036854775807").AsInt(), std::numeric_limits<int64_t>::max());
  for (const char* text : {"", "_1", "1_", "1__0", "abc", "2.5", "0x10", "1 2", "nan", "inf",
                           "9223372036854775808", "1e30", "--1"}) {
    EXPECT_FALSE(Plain(text).AsInt().has_value()) << text;
  }
  EXPECT_EQ(Plain("1e-5").AsDouble(), 1e-5);
  EXPECT_EQ(Plain("3.e-5").AsDouble(), 3e-5);
  EXPECT_EQ(Plain(".5").AsDouble(), 0.5);
  EXPECT_EQ(Plain("-.inf").AsDouble(), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(*Plain(".nan").AsDouble()));
  for (const char* text : {"", "1e", "e5", "infinity", "nan(1)", "1.2.3", "0x1p3", "1,000"}) {
    EXPECT_FALSE(Plain(text).AsDouble().has_value()) << text;
  }
  for (const char* text : {"true", "True", "TRUE", "on", "On", "ON", "yes", "Yes", "YES"}) {
    EXPECT_EQ(Plain(text).AsBool(), true) << text;
  }
  for (const char* text : {"false", "False", "FALSE", "off", "no", "No"}) {
    EXPECT_EQ(Plain(text).AsBool(), false) << text;
  }
  for (const char* text : {"tRUE", "yEs", "y", "1", ""}) {
    EXPECT_FALSE(Plain(text).AsBool().has_value()) << text;
  }
  for (const char* text : {"", "~", "null", "Null", "None", "none", "NONE"}) {
    EXPECT_TRUE(Plain(text).IsNull()) << text;
  }
  EXPECT_FALSE(Plain("nil").IsNull());
}

TEST(Yaml, QuotedScalarsAreStrings) {
  const StatusOr<YamlNode> root = ParseYaml("{a: '1', b: \"true\", c: '', d: '~', e: 'None'}", "f");
  ASSERT_TRUE(root.ok());
  EXPECT_FALSE(root->Find("a")->AsInt().has_value());
  EXPECT_FALSE(root->Find("b")->AsBool().has_value());
  EXPECT_FALSE(root->Find("c")->IsNull());
  EXPECT_FALSE(root->Find("d")->IsNull());
  EXPECT_TRUE(root->Find("e")->IsNull());  // MaxText compares the string
}

RC_GTEST_PROP(YamlProperty, IntegersRoundTripWithUnderscores, (int64_t value)) {
  std::string text = fmt::to_string(value);
  RC_ASSERT(Plain(text).AsInt() == value);
  for (size_t at = text.size(); at-- > 1;) {
    if (text[at - 1] != '-' && *rc::gen::arbitrary<bool>()) text.insert(at, "_");
  }
  RC_ASSERT(Plain(text).AsInt() == value);
}

RC_GTEST_PROP(YamlProperty, DoublesRoundTrip, (double value)) {
  RC_PRE(std::isfinite(value));
  RC_ASSERT(Plain(fmt::format("{}", value)).AsDouble() == value);
}

// Random trees of printable text survive ToFlow and ParseYaml.
rc::Gen<YamlNode> GenTree(int depth) {
  const auto scalar = rc::gen::map(rc::gen::container<std::string>(rc::gen::elementOf(
                                       std::string("ab01 _-:,[]{}#'\"%&*!|.~\n\t\\"))),
                                   [](const std::string& text) {
                                     YamlNode node;
                                     node.text = text;
                                     node.quoted = true;
                                     return node;
                                   });
  if (depth == 0) return scalar;
  const auto sequence = rc::gen::map(
      rc::gen::scale(0.2, rc::gen::container<std::vector<YamlNode>>(GenTree(depth - 1))),
      [](const std::vector<YamlNode>& children) {
        YamlNode node;
        node.kind = YamlNode::Kind::kSequence;
        node.children = children;
        return node;
      });
  return rc::gen::oneOf(scalar, sequence);
}

bool SameTexts(const YamlNode& a, const YamlNode& b) {
  if (a.kind != b.kind || a.text != b.text || a.children.size() != b.children.size()) return false;
  for (size_t i = 0; i < a.children.size(); ++i) {
    if (!SameTexts(a.children[i], b.children[i])) return false;
  }
  return true;
}

TEST(YamlProperty, FlowTextParsesBack) {
  EXPECT_TRUE(rc::check([] {
    const YamlNode tree = *GenTree(3);
    const StatusOr<YamlNode> parsed = ParseYaml("k: " + tree.ToFlow(), "f");
    RC_ASSERT(parsed.ok());
    RC_ASSERT(SameTexts(*parsed->Find("k"), tree));
  }));
}

// Whatever the bytes, parsing ends with a tree or a located message.
TEST(YamlProperty, DamagedFilesEndWithAMessage) {
  const std::string base(*FindEmbedded("configs/scenarios/IW-07.yml"));
  EXPECT_TRUE(rc::check([&] {
    std::string text = base;
    const int edits = *rc::gen::inRange(1, 12);
    for (int i = 0; i < edits; ++i) {
      const auto at = *rc::gen::inRange<size_t>(0, text.size());
      const char c = *rc::gen::oneOf(rc::gen::elementOf(std::string("[]{}:,-?&*!|>'\"%@`# \n\t~")),
                                     rc::gen::arbitrary<char>());
      if (*rc::gen::arbitrary<bool>()) {
        text[at] = c;
      } else {
        text.insert(at, std::string(*rc::gen::inRange<size_t>(1, 80), c));
      }
    }
    const StatusOr<YamlNode> parsed = ParseYaml(text, "f.yml");
    RC_ASSERT(parsed.ok() || Message(parsed.status()).starts_with("f.yml"));
  }));
}

TEST(Yaml, HostileTextIsRefusedQuickly) {
  constexpr int kMany = 300'000;
  for (std::string_view unit : {"[", "{", "- ", "? ", "[a,", "{a: ", "a: ", "!x ", "&a ", "|"}) {
    std::string text = "k: ";
    for (int i = 0; i < kMany; ++i) text += unit;
    EXPECT_NE(ErrorOf(text.substr(0, 600'000)), "ok") << unit;
  }
  EXPECT_EQ(ErrorOf(std::string(kMaxYamlBytes + 1, 'a')),
            fmt::format("f.yml: error: {} bytes, more than the {} this reads", kMaxYamlBytes + 1,
                        kMaxYamlBytes));
}

TEST(Yaml, AliasesAreCopies) {
  const StatusOr<YamlNode> root = ParseYaml("a: &x [1, {b: c}]\nd: *x\ne: [*x, &y 2, *y]\n", "f");
  ASSERT_TRUE(root.ok());
  EXPECT_EQ(root->ToFlow(), "{a: [1, {b: c}], d: [1, {b: c}], e: [[1, {b: c}], 2, 2]}");
}

// Lines that double what they name, and plain lists: the limit is on what they come to.
TEST(Yaml, NumberOfValuesIsLimited) {
  std::string bomb = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 40; ++i) {
    bomb += fmt::format("a{0}: &a{0} [*a{1}, *a{1}]\n", i, i - 1);
  }
  // a13 comes to 2^15 - 1 values, and so much stands before it.
  EXPECT_EQ(ErrorOf(bomb),
            "f.yml:15:18: error: more than 100000 values\n"
            "   15 | a14: &a14 [*a13, *a13]\n"
            "      |                  ^");
  std::string list = "k: [";
  for (int i = 0; i < 200'000; ++i) list += "a,";
  EXPECT_EQ(ErrorOf(list + "]").substr(0, 45), "f.yml:1:200003: error: more than 100000 value");
}

TEST(Yaml, MessagesAreLocated) {
  EXPECT_EQ(ErrorOf("a: 1\nb: 2\na: 3\n"),
            "f.yml:3:1: error: key 'a' is given twice\n"
            "    3 | a: 3\n"
            "      | ^\n"
            "f.yml:1:1: note: first given here");
  EXPECT_EQ(ErrorOf("a: [1, 2\nb: 3\n"),
            "f.yml:1:4: error: '[' is not closed\n"
            "    1 | a: [1, 2\n"
            "      |    ^");
  EXPECT_EQ(ErrorOf("a: &x [*x]\n"),
            "f.yml:1:8: error: an alias stands inside what it names\n"
            "    1 | a: &x [*x]\n"
            "      |        ^");
  EXPECT_EQ(ErrorOf("a: !!python/object:os.system x\n"),
            "f.yml:1:4: error: tag 'tag:yaml.org,2002:python/object:os.system' is not supported\n"
            "    1 | a: !!python/object:os.system x\n"
            "      |    ^");
  EXPECT_EQ(ErrorOf("a: 1\n---\nb: 2\n"),
            "f.yml:2:1: error: a second document starts here\n"
            "    2 | ---\n"
            "      | ^");
  EXPECT_EQ(ErrorOf("? [a, b]\n: 1\n"),
            "f.yml:1:3: error: a key must be plain text, not a list or a map\n"
            "    1 | ? [a, b]\n"
            "      |   ^");
  EXPECT_EQ(ErrorOf(std::string_view("a: 1\nb: \0\n", 10)),
            "f.yml:2:4: error: not a text file: byte 0x00\n"
            "    2 | b: ?\n"
            "      |    ^");
  EXPECT_EQ(ErrorOf("a: \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\n"), "ok");
  for (std::string_view bytes :
       {"\xff", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"}) {
    EXPECT_EQ(ErrorOf("a: " + std::string(bytes) + "\n").substr(0, 40),
              fmt::format("f.yml:1:4: error: not a text file: byte 0x{:02x}",
                          static_cast<unsigned char>(bytes[0]))
                  .substr(0, 40));
  }
  EXPECT_EQ(ErrorOf("a: 1\n  b: 2\n").substr(0, 8), "f.yml:2:");
}

TEST(Yaml, BracketsInTextAreNotStructure) {
  for (std::string_view text :
       {"a: x[0\n", "a: 'it''s [ here'\n", "a: \"b\\\"[\"\n", "a: 1 # [\nb: 2\n", "- - [x]\n"}) {
    EXPECT_EQ(ErrorOf(text), "ok") << text;
  }
}

}  // namespace
}  // namespace shardwise
