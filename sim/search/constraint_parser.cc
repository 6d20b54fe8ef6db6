#include "sim/search/constraint_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace shardwise {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxLength = 4096;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNamePart(char c) { return IsNameStart(c) || IsDigit(c) || c == '.'; }

std::string_view TypeName(ConstraintType type) {
  switch (type) {
    case ConstraintType::kNumber:
      return "a number";
    case ConstraintType::kText:
      return "text";
    case ConstraintType::kFlag:
      return "true or false";
    case ConstraintType::kAny:
      break;
  }
  return "a value";
}

}  // namespace

Location ConstraintParser::At(size_t offset, size_t length) const {
  Location at = start_;
  // A block of YAML text may have several lines; the caret stays in the first.
  at.column += static_cast<int>(offset);
  at.length = std::max(1, static_cast<int>(length));
  return at;
}

int ConstraintParser::Fail(const Token& token, std::string text, std::string hint) {
  if (!failed_) diagnostics_.Error(At(token.at, token.length), std::move(text)).hint = hint;
  failed_ = true;
  return -1;
}

int ConstraintParser::Add(Constraint::Node node) {
  out_.nodes_.push_back(std::move(node));
  return static_cast<int>(out_.nodes_.size()) - 1;
}

void ConstraintParser::ReadQuoted(char quote) {
  const size_t end = text_.find(quote, next_ + 1);
  if (end == std::string_view::npos) {
    token_.length = text_.size() - next_;
    next_ = text_.size();
    Fail(token_, fmt::format("{} is not closed", quote));
    return;
  }
  token_.kind = Token::Kind::kText;
  token_.text = text_.substr(next_ + 1, end - next_ - 1);
  token_.length = end + 1 - next_;
  next_ = end + 1;
}

void ConstraintParser::ReadSymbol() {
  constexpr std::array<std::string_view, 4> kPairs = {"==", "!=", "<=", ">="};
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kOthers = {
      {{"&&", "'and'"}, {"||", "'or'"}, {"**", "'*'"}, {"=", "'=='"}, {"!", "'not'"}}};
  const std::string_view rest = text_.substr(next_);
  const bool pair = std::find(kPairs.begin(), kPairs.end(), rest.substr(0, 2)) != kPairs.end();
  token_.length = pair ? 2 : 1;
  token_.text = rest.substr(0, token_.length);
  token_.kind = Token::Kind::kSymbol;
  next_ += token_.length;
  if (pair) return;
  for (const auto& [wrong, right] : kOthers) {
    if (rest.starts_with(wrong)) {
      token_.length = wrong.size();
      Fail(token_, fmt::format("unexpected '{}'", wrong), fmt::format("write {}", right));
      return;
    }
  }
  if (std::string_view("<>+-*/()").find(rest.front()) == std::string_view::npos) {
    Fail(token_, fmt::format("unexpected {}", Quote(rest.substr(0, 1))));
  }
}

void ConstraintParser::Advance() {
  while (next_ < text_.size() &&
         (text_[next_] == ' ' || text_[next_] == '\t' || text_[next_] == '\n')) {
    ++next_;
  }
  token_ = {};
  token_.at = next_;
  if (next_ == text_.size()) return;
  const char c = text_[next_];
  if (c == '\'' || c == '"') return ReadQuoted(c);
  const bool number =
      IsDigit(c) || (c == '.' && next_ + 1 < text_.size() && IsDigit(text_[next_ + 1]));
  if (!number && !IsNameStart(c)) return ReadSymbol();
  size_t end = next_ + 1;
  while (end < text_.size() && (IsNamePart(text_[end]) ||
                                // the sign of an exponent
                                (number && (text_[end] == '-' || text_[end] == '+') &&
                                 (text_[end - 1] == 'e' || text_[end - 1] == 'E')))) {
    ++end;
  }
  token_.kind = number ? Token::Kind::kNumber : Token::Kind::kName;
  token_.text = text_.substr(next_, end - next_);
  token_.length = end - next_;
  next_ = end;
}

const ConstraintParser::Operator* ConstraintParser::TakeOperator(
    std::span<const Operator> operators) {
  for (const Operator& candidate : operators) {
    if (!Is(candidate.text)) continue;
    Advance();
    return &candidate;
  }
  return nullptr;
}

int ConstraintParser::Expect(int node, ConstraintType wanted, const Token& first) {
  if (node < 0) return -1;
  const ConstraintType type = out_.nodes_[static_cast<size_t>(node)].type;
  if (type == wanted || type == ConstraintType::kAny) return node;
  return Fail(first, fmt::format("this is {}, expected {}", TypeName(type), TypeName(wanted)));
}

int ConstraintParser::Binary(int (ConstraintParser::*operand)(),
                             std::span<const Operator> operators, ConstraintType wanted) {
  const Token first = token_;
  int left = (this->*operand)();
  while (left >= 0) {
    const Operator* by = TakeOperator(operators);
    if (by == nullptr) return left;
    left = Expect(left, wanted, first);
    const Token second = token_;
    const int right = left < 0 ? -1 : Expect((this->*operand)(), wanted, second);
    if (right < 0) return -1;
    left = Add({.op = by->op, .left = left, .right = right, .constant = {}, .type = wanted});
  }
  return -1;
}

int ConstraintParser::Or() {
  constexpr std::array<Operator, 1> kOperators = {{{"or", Op::kOr}}};
  return Binary(&ConstraintParser::And, kOperators, ConstraintType::kFlag);
}

int ConstraintParser::And() {
  constexpr std::array<Operator, 1> kOperators = {{{"and", Op::kAnd}}};
  return Binary(&ConstraintParser::Not, kOperators, ConstraintType::kFlag);
}

int ConstraintParser::Not() {
  if (!Is("not")) return Comparison();
  if (++depth_ > kMaxDepth) return Fail(token_, "nested too deeply");
  Advance();
  const Token first = token_;
  const int operand = Expect(Not(), ConstraintType::kFlag, first);
  --depth_;
  if (operand < 0) return -1;
  return Add({.op = Op::kNot, .left = operand, .constant = {}, .type = ConstraintType::kFlag});
}

int ConstraintParser::Compare(const Operator& by, const Token& token, int left, int right) {
  const ConstraintType a = out_.nodes_[static_cast<size_t>(left)].type;
  const ConstraintType b = out_.nodes_[static_cast<size_t>(right)].type;
  if (a != b && a != ConstraintType::kAny && b != ConstraintType::kAny) {
    return Fail(token, fmt::format("'{}' compares {} with {}", by.text, TypeName(a), TypeName(b)));
  }
  const bool ordered = by.op != Op::kEqual && by.op != Op::kNotEqual;
  for (const ConstraintType type : {a, b}) {
    if (ordered && type != ConstraintType::kNumber && type != ConstraintType::kAny) {
      return Fail(token, fmt::format("'{}' needs numbers, this is {}", by.text, TypeName(type)));
    }
  }
  return Add(
      {.op = by.op, .left = left, .right = right, .constant = {}, .type = ConstraintType::kFlag});
}

int ConstraintParser::Comparison() {
  constexpr std::array<Operator, 6> kOperators = {{{"==", Op::kEqual},
                                                   {"!=", Op::kNotEqual},
                                                   {"<", Op::kLess},
                                                   {"<=", Op::kLessEqual},
                                                   {">", Op::kGreater},
                                                   {">=", Op::kGreaterEqual}}};
  const int left = Sum();
  if (left < 0) return -1;
  const Token token = token_;
  const Operator* by = TakeOperator(kOperators);
  if (by == nullptr) return left;
  const int right = Sum();
  const int node = right < 0 ? -1 : Compare(*by, token, left, right);
  const Token again = token_;
  if (node >= 0 && TakeOperator(kOperators) != nullptr) {
    return Fail(again, "comparisons do not chain", "write 'a < b and b < c'");
  }
  return node;
}

int ConstraintParser::Sum() {
  constexpr std::array<Operator, 2> kOperators = {{{"+", Op::kAdd}, {"-", Op::kSubtract}}};
  return Binary(&ConstraintParser::Product, kOperators, ConstraintType::kNumber);
}

int ConstraintParser::Product() {
  constexpr std::array<Operator, 2> kOperators = {{{"*", Op::kMultiply}, {"/", Op::kDivide}}};
  return Binary(&ConstraintParser::Unary, kOperators, ConstraintType::kNumber);
}

int ConstraintParser::Unary() {
  if (!Is("-")) return Primary();
  if (++depth_ > kMaxDepth) return Fail(token_, "nested too deeply");
  Advance();
  const Token first = token_;
  const int operand = Expect(Unary(), ConstraintType::kNumber, first);
  --depth_;
  if (operand < 0) return -1;
  return Add({.op = Op::kNegate, .left = operand, .constant = {}, .type = ConstraintType::kNumber});
}

int ConstraintParser::Number() {
  std::string digits(token_.text);
  std::erase(digits, '_');
  double value = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc() || rest != end || !std::isfinite(value)) {
    return Fail(token_, fmt::format("{} is no number", Quote(token_.text)));
  }
  Advance();
  return Add({.constant = value, .type = ConstraintType::kNumber});
}

int ConstraintParser::Name() {
  const Token token = token_;
  if (token.text == "and" || token.text == "or" || token.text == "not") {
    return Fail(token, fmt::format("unexpected '{}'", token.text));
  }
  Advance();
  if (token.text == "true" || token.text == "false") {
    return Add({.constant = token.text == "true", .type = ConstraintType::kFlag});
  }
  if (token.text == "null") return Add({.constant = {}, .type = ConstraintType::kAny});
  const std::optional<ConstraintType> type = known_.find(token.text);
  if (!type.has_value()) {
    Fail(token, fmt::format("unknown name {}; text stands in quotes", Quote(token.text)),
         SuggestName(token.text, known_.all));
    return -1;
  }
  std::vector<std::string>& names = out_.names_;
  auto found = std::find(names.begin(), names.end(), token.text);
  if (found == names.end()) found = names.insert(names.end(), std::string(token.text));
  return Add({.op = Op::kName,
              .left = static_cast<int>(found - names.begin()),
              .constant = {},
              .type = *type});
}

int ConstraintParser::Primary() {
  switch (token_.kind) {
    case Token::Kind::kNumber:
      return Number();
    case Token::Kind::kName:
      return Name();
    case Token::Kind::kText: {
      const std::string text(token_.text);
      Advance();
      return Add({.constant = text, .type = ConstraintType::kText});
    }
    case Token::Kind::kEnd:
      return Fail(token_, "the condition ends too early");
    case Token::Kind::kSymbol:
      break;
  }
  if (!Is("(")) return Fail(token_, fmt::format("unexpected {}", Quote(token_.text)));
  const Token open = token_;
  if (++depth_ > kMaxDepth) return Fail(open, "nested too deeply");
  Advance();
  const int inner = Or();
  --depth_;
  if (inner < 0) return -1;
  if (!Is(")")) return Fail(open, "'(' is not closed");
  Advance();
  return inner;
}

std::optional<Constraint> ConstraintParser::Parse() {
  out_.text_ = text_;
  if (text_.size() > kMaxLength) {
    Fail(Token(), fmt::format("longer than {} bytes", kMaxLength));
    return std::nullopt;
  }
  Advance();
  const Token first = token_;
  const int root = Expect(Or(), ConstraintType::kFlag, first);
  if (root >= 0 && token_.kind != Token::Kind::kEnd) {
    Fail(token_, fmt::format("unexpected {}", Quote(token_.text)));
  }
  if (failed_) return std::nullopt;
  return std::move(out_);
}

}  // namespace shardwise
