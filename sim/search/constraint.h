// A small language of conditions on points: "hbm_used < 0.95 * hbm_usable and gbs == 2048".
//
//   condition   a or b, a and b, not a
//   comparison  == != on anything of one type, < <= > >= on numbers
//   number      + - * /, parentheses, 0.95, 1e9, 150_000
//   others      'text' or "text", true, false, null
//
// Names are configuration keys and results; the caller says which, and of what type.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sim/config/diagnostics.h"

namespace shardwise {

// Nothing: null.
using ConstraintValue = std::variant<std::monostate, bool, double, std::string>;

enum class ConstraintType : uint8_t {
  kNumber,
  kText,
  kFlag,
  kAny,  // known only when a value is there
};

struct ConstraintNames {
  std::function<std::optional<ConstraintType>(std::string_view)> find;
  std::span<const std::string_view> all;  // for suggestions
};

class Constraint {
 public:
  // `text` stands at `start` of its source. On mistakes of grammar, names or types adds to
  // `diagnostics` and returns nothing.
  static std::optional<Constraint> Parse(std::string_view text, const Location& start,
                                         const ConstraintNames& names, Diagnostics& diagnostics);

  const std::string& text() const { return text_; }
  // The names it reads, each once, in order of appearance.
  const std::vector<std::string>& names() const { return names_; }
  // `values` beside names(). Where types turn out not to match, == is false, and so is any
  // comparison with what is no number (a division of zero by zero included).
  bool Holds(std::span<const ConstraintValue> values) const;

 private:
  friend class ConstraintParser;
  enum class Op : uint8_t {
    kConstant,
    kName,
    kNegate,
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kEqual,
    kNotEqual,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kNot,
    kAnd,
    kOr,
  };
  struct Node {
    Op op = Op::kConstant;
    int left = -1, right = -1;  // nodes; of kName: left is the position in names_
    ConstraintValue constant;
    ConstraintType type = ConstraintType::kAny;
  };

  ConstraintValue Evaluate(int node, std::span<const ConstraintValue> values) const;

  std::string text_;
  std::vector<std::string> names_;
  std::vector<Node> nodes_;  // the last one is the root
};

}  // namespace shardwise
