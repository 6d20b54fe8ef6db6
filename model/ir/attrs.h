// Attributes of an operation: a plain struct that lists its fields once, in VisitFields, stored
// type-erased. Comparing, hashing, printing and parsing follow from the list.
//
//   struct EinsumAttrs {
//     std::string equation;
//     void VisitFields(auto&& v) { v("equation", equation); }
//   };
//
// Field types: int64_t, double, bool, std::string, DType, std::vector<int64_t>,
// std::vector<std::string>. Text: `equation="bk,kn->bn" axes=["fsdp"] axis=1`.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/base/dtype.h"
#include "kernels/base/status.h"

namespace shardwise {

class AttrPrinter {
 public:
  void operator()(std::string_view name, int64_t value);
  void operator()(std::string_view name, double value);
  void operator()(std::string_view name, bool value);
  void operator()(std::string_view name, const std::string& value);
  void operator()(std::string_view name, DType value);
  void operator()(std::string_view name, const std::vector<int64_t>& value);
  void operator()(std::string_view name, const std::vector<std::string>& value);
  // A field that is written only if it holds anything; by default it must be empty.
  void Optional(std::string_view name, const auto& value) {
    if (!value.empty()) (*this)(name, value);
  }
  std::string Take() { return std::move(text_); }

 private:
  void Begin(std::string_view name);
  std::string text_;
};

// Reads `name=value` pairs in any order; a field that is not named keeps its default.
class AttrParser {
 public:
  static StatusOr<AttrParser> Parse(std::string_view text);
  void operator()(std::string_view name, int64_t& value);
  void operator()(std::string_view name, double& value);
  void operator()(std::string_view name, bool& value);
  void operator()(std::string_view name, std::string& value);
  void operator()(std::string_view name, DType& value);
  void operator()(std::string_view name, std::vector<int64_t>& value);
  void operator()(std::string_view name, std::vector<std::string>& value);
  void Optional(std::string_view name, auto& value) { (*this)(name, value); }
  Status Finish() const;  // a malformed value or an unknown name

 private:
  struct Field {
    std::string name, text;
    bool used = false;
  };
  Field* Find(std::string_view name);
  void Fail(const Field& field, std::string_view expected);
  std::vector<Field> fields_;
  std::string error_;
};

class Attrs {
 public:
  Attrs() : rep_(NoRep()) {}
  template <class A>
  requires requires(A a, AttrPrinter p) { a.VisitFields(p); }
  explicit Attrs(A fields) {
    AttrPrinter printer;
    fields.VisitFields(printer);
    rep_ = std::make_shared<const RepOf<A>>(printer.Take(), std::move(fields));
  }

  template <class A>
  const A& As() const {
    SW_CHECK(rep_->tag == TypeTag<A>(), "attributes of another op: {}", rep_->text);
    return static_cast<const RepOf<A>&>(*rep_).fields;
  }

  bool operator==(const Attrs& o) const {
    return rep_ == o.rep_ || (rep_->tag == o.rep_->tag && rep_->text == o.rep_->text);
  }
  size_t Hash() const { return std::hash<std::string>()(rep_->text); }
  const std::string& ToText() const { return rep_->text; }

 private:
  struct None {
    void VisitFields(auto&&) {}
  };
  template <class A>
  static const void* TypeTag() {
    static const char tag = 0;
    return &tag;
  }
  struct Rep {
    std::string text;
    const void* tag;
  };
  template <class A>
  struct RepOf : Rep {
    RepOf(std::string printed, A values)
        : Rep{std::move(printed), TypeTag<A>()}, fields(std::move(values)) {}
    A fields;
  };
  static const std::shared_ptr<const Rep>& NoRep() {
    static const std::shared_ptr<const Rep> none = std::make_shared<const RepOf<None>>("", None{});
    return none;
  }
  std::shared_ptr<const Rep> rep_;
};

template <class A>
StatusOr<Attrs> ParseAttrs(std::string_view text) {
  SW_ASSIGN_OR_RETURN(AttrParser parser, AttrParser::Parse(text));
  A fields;
  fields.VisitFields(parser);
  SW_RETURN_IF_ERROR(parser.Finish());
  return Attrs(std::move(fields));
}

}  // namespace shardwise
