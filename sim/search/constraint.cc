#include "sim/search/constraint.h"

#include <limits>

#include "sim/search/constraint_parser.h"

namespace shardwise {
namespace {

double NumberOf(const ConstraintValue& value) {
  const double* number = std::get_if<double>(&value);
  return number == nullptr ? std::numeric_limits<double>::quiet_NaN() : *number;
}

bool FlagOf(const ConstraintValue& value) {
  const bool* flag = std::get_if<bool>(&value);
  return flag != nullptr && *flag;
}

}  // namespace

std::optional<Constraint> Constraint::Parse(std::string_view text, const Location& start,
                                            const ConstraintNames& names,
                                            Diagnostics& diagnostics) {
  return ConstraintParser(text, start, names, diagnostics).Parse();
}

ConstraintValue Constraint::Evaluate(int index, std::span<const ConstraintValue> values) const {
  const Node& node = nodes_[static_cast<size_t>(index)];
  if (node.op == Op::kConstant) return node.constant;
  if (node.op == Op::kName) return values[static_cast<size_t>(node.left)];
  const ConstraintValue left = Evaluate(node.left, values);
  if (node.op == Op::kNegate) return -NumberOf(left);
  if (node.op == Op::kNot) return !FlagOf(left);
  // The right side of a decided condition need not be looked at.
  if (node.op == Op::kAnd && !FlagOf(left)) return false;
  if (node.op == Op::kOr && FlagOf(left)) return true;
  const ConstraintValue right = Evaluate(node.right, values);
  if (node.op == Op::kAnd || node.op == Op::kOr) return FlagOf(right);
  if (node.op == Op::kEqual) return left == right;
  if (node.op == Op::kNotEqual) return left != right;
  const double a = NumberOf(left), b = NumberOf(right);
  switch (node.op) {
    case Op::kAdd:
      return a + b;
    case Op::kSubtract:
      return a - b;
    case Op::kMultiply:
      return a * b;
    case Op::kDivide:
      return a / b;
    case Op::kLess:
      return a < b;
    case Op::kLessEqual:
      return a <= b;
    case Op::kGreater:
      return a > b;
    default:
      return a >= b;
  }
}

bool Constraint::Holds(std::span<const ConstraintValue> values) const {
  return FlagOf(Evaluate(static_cast<int>(nodes_.size()) - 1, values));
}

}  // namespace shardwise
