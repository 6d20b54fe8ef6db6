#include "sim/search/constraint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <cmath>

namespace shardwise {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"gbs", "hbm_used", "remat_policy", "flag"};

const ConstraintNames& Names() {
  static const ConstraintNames names = {
      .find = [](std::string_view name) -> std::optional<ConstraintType> {
        if (name == "gbs" || name == "hbm_used") return ConstraintType::kNumber;
        if (name == "remat_policy") return ConstraintType::kText;
        if (name == "flag") return ConstraintType::kFlag;
        if (name == "any") return ConstraintType::kAny;
        return std::nullopt;
      },
      .all = kNames};
  return names;
}

std::optional<Constraint> Parse(const std::string& text, Diagnostics& diagnostics) {
  return Constraint::Parse(text, {.source = FileSource("--where", text), .line = 1, .column = 1},
                           Names(), diagnostics);
}

// Of gbs = 2048, hbm_used = 3, remat_policy = 'full', flag = true, any = null.
bool Holds(const std::string& text) {
  Diagnostics diagnostics;
  const std::optional<Constraint> constraint = Parse(text, diagnostics);
  EXPECT_TRUE(constraint.has_value()) << Message(diagnostics.ToStatus());
  if (!constraint.has_value()) return false;
  std::vector<ConstraintValue> values;
  for (const std::string& name : constraint->names()) {
    if (name == "gbs") values.emplace_back(2048.0);
    if (name == "hbm_used") values.emplace_back(3.0);
    if (name == "remat_policy") values.emplace_back(std::string("full"));
    if (name == "flag") values.emplace_back(true);
    if (name == "any") values.emplace_back();
  }
  return constraint->Holds(values);
}

std::string MessageOf(const std::string& text) {
  Diagnostics diagnostics;
  EXPECT_FALSE(Parse(text, diagnostics).has_value()) << text;
  return Message(diagnostics.ToStatus());
}

TEST(Constraint, GrammarAndPrecedence) {
  EXPECT_TRUE(Holds("gbs == 2048"));
  EXPECT_TRUE(Holds("hbm_used < 0.95 * 4"));
  EXPECT_TRUE(Holds("1 + 2 * 3 == 7 and (1 + 2) * 3 == 9"));
  EXPECT_TRUE(Holds("10 - 4 - 3 == 3 and 16 / 4 / 2 == 2 and -2 * -3 == 6"));
  EXPECT_TRUE(Holds("false and false or true"));
  EXPECT_FALSE(Holds("false and (false or true)"));
  EXPECT_TRUE(Holds("not flag or true"));
  EXPECT_FALSE(Holds("not (flag or true)"));
  EXPECT_TRUE(Holds("remat_policy == 'full' and remat_policy != \"minimal\""));
  EXPECT_TRUE(Holds("gbs >= 2_048 and gbs <= 2.048e3 and gbs > .5"));
}

// What only turns out when values are there.
TEST(Constraint, ValuesOfOtherTypes) {
  EXPECT_TRUE(Holds("any == null and gbs != null"));
  EXPECT_FALSE(Holds("any < 3 or any >= 3 or any == 'x' or any"));
  EXPECT_FALSE(Holds("0 / 0 < 1 or 0 / 0 >= 1"));
}

TEST(Constraint, MistakesHaveAPlaceAndAHint) {
  const auto says = [](const std::string& text, const std::string& what) {
    const std::string message = MessageOf(text);
    EXPECT_NE(message.find(what), std::string::npos) << message;
    EXPECT_NE(message.find("--where:1:"), std::string::npos) << message;
    EXPECT_EQ(message.find("error", message.find("error") + 1), std::string::npos) << message;
  };
  says("hbm_usd < 3", "did you mean 'hbm_used'?");
  says("gbs = 5", "write '=='");
  says("gbs > 1 && flag", "write 'and'");
  says("remat_policy == full", "text stands in quotes");
  says("1 < gbs < 3", "do not chain");
  says("gbs == 'x'", "compares a number with text");
  says("remat_policy < 'x'", "needs numbers");
  says("gbs + 1", "expected true or false");
  says("gbs and flag", "expected true or false");
  says("remat_policy * 2 == 1", "expected a number");
  says("(gbs == 1", "'(' is not closed");
  says("remat_policy == 'full", "is not closed");
  says("gbs ==", "ends too early");
  says("", "ends too early");
  says("gbs == 1 flag", "unexpected 'flag'");
  says("gbs == 1.2.3", "is no number");
  says("gbs == 1e999", "is no number");
  says("gbs == #", "unexpected '#'");
  says(std::string(1000, '(') + "gbs", "nested too deeply");
  says(std::string(1000, '-') + "gbs", "nested too deeply");
  says(std::string(100'000, ' '), "longer than");
}

// A random expression: its text, and its value computed here.
struct Sample {
  std::string text;
  double number = 0;
  bool flag = false;
};

Sample NumberSample(int depth);

Sample FlagSample(int depth) {
  const int kind = *rc::gen::inRange(0, depth > 0 ? 5 : 1);
  const Sample a = kind == 0 ? NumberSample(depth - 1) : FlagSample(depth - 1);
  if (kind == 1) return {fmt::format("not ({})", a.text), 0, !a.flag};
  if (kind == 0) {
    const Sample b = NumberSample(depth - 1);
    switch (*rc::gen::inRange(0, 6)) {
      case 0:
        return {fmt::format("{} < {}", a.text, b.text), 0, a.number < b.number};
      case 1:
        return {fmt::format("{} <= {}", a.text, b.text), 0, a.number <= b.number};
      case 2:
        return {fmt::format("{} > {}", a.text, b.text), 0, a.number > b.number};
      case 3:
        return {fmt::format("{} >= {}", a.text, b.text), 0, a.number >= b.number};
      case 4:
        return {fmt::format("{} == {}", a.text, b.text), 0, a.number == b.number};
      default:
        return {fmt::format("{} != {}", a.text, b.text), 0, a.number != b.number};
    }
  }
  const Sample b = FlagSample(depth - 1);
  // Without parentheses around `or`, precedence has a say: it binds weakest, so both stay whole.
  if (kind == 2) return {fmt::format("({}) and ({})", a.text, b.text), 0, a.flag && b.flag};
  return {fmt::format("({}) or ({})", a.text, b.text), 0, a.flag || b.flag};
}

Sample NumberSample(int depth) {
  const int kind = *rc::gen::inRange(0, depth > 0 ? 6 : 2);
  if (kind == 0) return {"gbs", 2048};
  if (kind == 1) {
    const int value = *rc::gen::inRange(0, 1000);
    return {fmt::to_string(value), static_cast<double>(value)};
  }
  const Sample a = NumberSample(depth - 1), b = NumberSample(depth - 1);
  if (kind == 2) return {fmt::format("({} + {})", a.text, b.text), a.number + b.number};
  if (kind == 3) return {fmt::format("({} - {})", a.text, b.text), a.number - b.number};
  if (kind == 4) return {fmt::format("{} * {}", a.text, b.text), a.number * b.number};
  return {fmt::format("-{}", a.text), -a.number};
}

RC_GTEST_PROP(Constraint, RandomExpressionsHaveTheirValue, ()) {
  const Sample sample = FlagSample(4);
  RC_ASSERT(Holds(sample.text) == sample.flag);
}

RC_GTEST_PROP(Constraint, AnyTextIsReadOrHasOneMistake, ()) {
  const auto words = *rc::gen::container<std::vector<std::string>>(rc::gen::element<std::string>(
      "gbs", "remat_policy", "flag", "and", "or", "not", "(", ")", "<", "==", "!=", "+", "-", "*",
      "/", "1", "2.5", "'x'", "\"", "=", "&", ".", "e", "\t"));
  std::string text;
  for (const std::string& word : words) text += word + " ";
  Diagnostics diagnostics;
  const bool read = Parse(text, diagnostics).has_value();
  RC_ASSERT(read == diagnostics.empty());
}

}  // namespace
}  // namespace shardwise
