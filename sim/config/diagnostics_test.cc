#include "sim/config/diagnostics.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "sim/config/keys.h"
#include "sim/config/utf8.h"

namespace shardwise {
namespace {

std::string GenWord() {
  return *rc::gen::container<std::string>(rc::gen::elementOf(std::string("abc_")));
}

// One random insertion, deletion, replacement or swap of neighbours.
std::string Edited(std::string text) {
  const int kind = text.empty() ? 0 : *rc::gen::inRange(0, 4);
  const auto at = *rc::gen::inRange<size_t>(0, text.size() + (kind == 0 ? 1 : 0));
  const char c = *rc::gen::elementOf(std::string("abcdefgxyz_0"));
  if (kind == 0) text.insert(at, 1, c);
  if (kind == 1) text.erase(at, 1);
  if (kind == 2) text[at] = c;
  if (kind == 3 && at + 1 < text.size()) std::swap(text[at], text[at + 1]);
  return text;
}

TEST(EditDistance, IsZeroOnlyForEqualWordsAndSymmetric) {
  EXPECT_TRUE(rc::check([] {
    const std::string a = GenWord(), b = GenWord();
    RC_ASSERT((EditDistance(a, b) == 0) == (a == b));
    RC_ASSERT(EditDistance(a, b) == EditDistance(b, a));
  }));
}

TEST(EditDistance, OneEditIsDistanceOne) {
  EXPECT_TRUE(rc::check([] {
    const std::string a = GenWord(), b = Edited(a);
    RC_ASSERT(EditDistance(a, b) == (a == b ? 0 : 1));
  }));
  EXPECT_EQ(EditDistance("fdsp", "fsdp"), 1);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("", "abc"), 3);
}

// A key with one typo gets a suggestion that is a key at most as far away as the right one.
TEST(ClosestName, FindsKeysWithATypo) {
  EXPECT_TRUE(rc::check([] {
    const std::string key(*rc::gen::elementOf(
        std::vector<std::string_view>(AllKeyNames().begin(), AllKeyNames().end())));
    const std::string typo = Edited(key);
    RC_PRE(FindKey(typo) < 0);
    const std::string_view found = ClosestName(typo, AllKeyNames());
    RC_ASSERT(FindKey(found) >= 0);
    RC_ASSERT(EditDistance(typo, found) == 1);
  }));
}

TEST(ClosestName, TwoEditsOnlyForLongNames) {
  const std::vector<std::string_view> names = {"fsdp", "remat_policy"};
  EXPECT_EQ(ClosestName("fsd", names), "fsdp");
  EXPECT_EQ(ClosestName("fs", names), "");
  EXPECT_EQ(ClosestName("remt_polcy", names), "remat_policy");
  EXPECT_EQ(ClosestName("rmt_polcy", names), "");
  EXPECT_EQ(ClosestName(std::string(100'000, 'x'), names), "");
}

TEST(Diagnostics, RendersFileAndArgument) {
  Diagnostics diagnostics;
  const SourcePtr file = FileSource("a.yml", "x: 1\n\ty: two\n");
  Diagnostic& first = diagnostics.Error({file, 2, 5, 3}, "bad");
  first.hint = "did you mean 'too'?";
  first.notes.resize(1);
  first.notes[0].where = {file, 1, 4, 1};
  first.notes[0].text = "see here";
  first.help = "try this";
  diagnostics.Error({ArgumentSource(3, "k=v"), 1, 3, 1}, "worse");
  diagnostics.Error({}, "nowhere");
  EXPECT_EQ(Message(diagnostics.ToStatus()),
            "a.yml:2:5: error: bad\n"
            "    2 |  y: two\n"
            "      |     ^~~ did you mean 'too'?\n"
            "a.yml:1:4: note: see here\n"
            "help: try this\n"
            "<command line>: argument 3: error: worse\n"
            "    k=v\n"
            "      ^\n"
            "configuration: error: nowhere");
}

TEST(Diagnostics, ShowsAtMostTwentyAndCountsTheRest) {
  Diagnostics diagnostics;
  for (int i = 0; i < 25; ++i) diagnostics.Error({}, "e");
  const std::string text = Message(diagnostics.ToStatus());
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 20);
  EXPECT_TRUE(text.ends_with("\nand 5 more"));
}

TEST(Diagnostics, VariablesAreShownWhole) {
  const SourcePtr variable = VariableSource("M_DTYPE", "bf16");
  const Location at = {variable, 1, 9, 4};
  Diagnostic diagnostic;
  diagnostic.where = at;
  diagnostic.text = "bad";
  EXPECT_EQ(Render(diagnostic),
            "<environment>: M_DTYPE: error: bad\n"
            "    M_DTYPE=bf16\n"
            "            ^~~~");
  EXPECT_EQ(at.ToText(), "M_DTYPE");
}

// However long the paths, the values and the notes are, all of it fits on a screen or two, in
// UTF-8.
TEST(Diagnostics, TotalTextIsBounded) {
  Diagnostics diagnostics;
  const std::string path = std::string(3000, '/') + "\xff\x9b.yml";
  const SourcePtr file = FileSource(path, std::string(5000, 'x'));
  std::string accents;
  for (int i = 0; i < 5000; ++i) accents += "\xc3\xa9";
  for (int i = 0; i < 25; ++i) {
    Diagnostic& error = diagnostics.Error({file, 1, 2500, 5000}, "x" + accents);
    error.help = accents;
    error.notes.resize(1);
    error.notes[0].where = {file, 1, 1};
    error.notes[0].text = accents;
  }
  const std::string text = Message(diagnostics.ToStatus());
  EXPECT_LT(text.size(), 20'000u);
  EXPECT_TRUE(text.ends_with(" more"));
  for (size_t i = 0; i < text.size();) {
    const size_t length = CharacterLength(text, i);
    ASSERT_GT(length, 0u) << i;
    i += length;
  }
}

TEST(Diagnostics, CodeIsThatOfTheGravestError) {
  Diagnostics diagnostics;
  EXPECT_TRUE(diagnostics.ToStatus().ok());
  diagnostics.Unsupported({}, "u");
  EXPECT_EQ(diagnostics.ToStatus().code(), absl::StatusCode::kUnimplemented);
  diagnostics.CannotRead({}, "r");
  EXPECT_EQ(diagnostics.ToStatus().code(), absl::StatusCode::kUnavailable);
  diagnostics.Error({}, "e");
  EXPECT_EQ(diagnostics.ToStatus().code(), absl::StatusCode::kInvalidArgument);
}

// Any position, even outside the text, renders with the caret below a character or the line's end.
TEST(Diagnostics, AnyPositionRenders) {
  EXPECT_TRUE(rc::check([] {
    const std::string text = *rc::gen::arbitrary<std::string>();
    const SourcePtr source = FileSource("f", text);
    const Location at = {source, *rc::gen::inRange(-3, 9), *rc::gen::inRange(-3, 400),
                         *rc::gen::inRange(-3, 400)};
    Diagnostic diagnostic;
    diagnostic.where = at;
    diagnostic.text = "t";
    const std::string rendered = Render(diagnostic);
    RC_ASSERT(rendered.size() < 700u);
    for (char c : rendered) RC_ASSERT(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  }));
}

}  // namespace
}  // namespace shardwise
