// Recursive descent over the text of one constraint.
#pragma once

#include <string>
#include <string_view>

#include "sim/search/constraint.h"

namespace shardwise {

class ConstraintParser {
 public:
  ConstraintParser(std::string_view text, const Location& start, const ConstraintNames& names,
                   Diagnostics& diagnostics)
      : text_(text), start_(start), known_(names), diagnostics_(diagnostics) {}

  std::optional<Constraint> Parse();

 private:
  using Op = Constraint::Op;

  struct Token {
    enum class Kind : uint8_t { kEnd, kNumber, kText, kName, kSymbol };
    Kind kind = Kind::kEnd;
    std::string_view text;  // of kText: without the quotes
    size_t at = 0, length = 0;
  };
  // A symbol or keyword, and what it does.
  struct Operator {
    std::string_view text;
    Op op;
  };

  // Each returns a node, or -1 after a diagnostic.
  int Or();
  int And();
  int Not();
  int Comparison();
  int Sum();
  int Product();
  int Unary();
  int Primary();
  int Name();
  int Number();

  int Binary(int (ConstraintParser::*operand)(), std::span<const Operator> operators,
             ConstraintType wanted);
  int Compare(const Operator& by, const Token& token, int left, int right);
  int Add(Constraint::Node node);
  // `node` if its type may be `wanted`, else -1.
  int Expect(int node, ConstraintType wanted, const Token& first);
  int Fail(const Token& token, std::string text, std::string hint = "");

  void Advance();
  void ReadSymbol();
  void ReadQuoted(char quote);
  const Operator* TakeOperator(std::span<const Operator> operators);
  bool Is(std::string_view text) const {
    return token_.kind != Token::Kind::kText && token_.kind != Token::Kind::kEnd &&
           token_.text == text;
  }
  Location At(size_t offset, size_t length) const;

  std::string_view text_;
  Location start_;
  const ConstraintNames& known_;
  Diagnostics& diagnostics_;
  Constraint out_;
  Token token_;
  size_t next_ = 0;  // of the text behind token_
  int depth_ = 0;
  bool failed_ = false;
};

}  // namespace shardwise
