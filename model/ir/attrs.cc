#include "model/ir/attrs.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

namespace shardwise {
namespace {

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

// Reads one value that starts at `pos`: a quoted string, a bracketed list or a bare word.
StatusOr<std::string> TakeValue(std::string_view text, size_t& pos) {
  const size_t start = pos;
  bool in_quotes = false;
  int depth = 0;
  for (; pos < text.size(); ++pos) {
    const char c = text[pos];
    if (in_quotes) {
      if (c == '\\') ++pos;
      if (c == '"') in_quotes = false;
      continue;
    }
    if (c == '"') in_quotes = true;
    if (c == '[') ++depth;
    if (c == ']') --depth;
    if (c == ' ' && depth == 0) break;
  }
  if (in_quotes || depth != 0) return InvalidArgument("unterminated value in '{}'", text);
  return std::string(text.substr(start, pos - start));
}

bool Unquote(std::string_view text, std::string& out) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return false;
  out.clear();
  for (size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '\\') ++i;
    out += text[i];
  }
  return true;
}

// Elements of "[a,b]" at commas outside quotes.
bool SplitList(std::string_view text, std::vector<std::string>& out) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return false;
  out.clear();
  std::string item;
  bool in_quotes = false;
  for (char c : text.substr(1, text.size() - 2)) {
    if (c == '"') in_quotes = !in_quotes;
    if (c == ',' && !in_quotes) {
      out.push_back(item);
      item.clear();
    } else {
      item += c;
    }
  }
  if (!item.empty() || !out.empty()) out.push_back(item);
  return true;
}

bool ParseInt(std::string_view text, int64_t& out) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

}  // namespace

void AttrPrinter::Begin(std::string_view name) {
  if (!text_.empty()) text_ += ' ';
  text_ += name;
  text_ += '=';
}
void AttrPrinter::operator()(std::string_view name, int64_t value) {
  Begin(name);
  text_ += std::to_string(value);
}
void AttrPrinter::operator()(std::string_view name, double value) {
  Begin(name);
  text_ += fmt::format("{}", value);
}
void AttrPrinter::operator()(std::string_view name, bool value) {
  Begin(name);
  text_ += value ? "true" : "false";
}
void AttrPrinter::operator()(std::string_view name, const std::string& value) {
  Begin(name);
  text_ += Quoted(value);
}
void AttrPrinter::operator()(std::string_view name, DType value) {
  Begin(name);
  text_ += Name(value);
}
void AttrPrinter::operator()(std::string_view name, const std::vector<int64_t>& value) {
  Begin(name);
  text_ += fmt::format("[{}]", fmt::join(value, ","));
}
void AttrPrinter::operator()(std::string_view name, const std::vector<std::string>& value) {
  Begin(name);
  text_ += '[';
  for (size_t i = 0; i < value.size(); ++i) {
    if (i > 0) text_ += ',';
    text_ += Quoted(value[i]);
  }
  text_ += ']';
}

StatusOr<AttrParser> AttrParser::Parse(std::string_view text) {
  AttrParser parser;
  size_t pos = 0;
  while (pos < text.size()) {
    if (text[pos] == ' ') {
      ++pos;
      continue;
    }
    const size_t equals = text.find('=', pos);
    if (equals == std::string_view::npos)
      return InvalidArgument("expected name=value in '{}'", text);
    Field field{std::string(text.substr(pos, equals - pos)), ""};
    pos = equals + 1;
    SW_ASSIGN_OR_RETURN(field.text, TakeValue(text, pos));
    parser.fields_.push_back(std::move(field));
  }
  return parser;
}

AttrParser::Field* AttrParser::Find(std::string_view name) {
  for (Field& field : fields_) {
    if (field.name == name) {
      field.used = true;
      return &field;
    }
  }
  return nullptr;
}

void AttrParser::Fail(const Field& field, std::string_view expected) {
  if (error_.empty()) {
    error_ = fmt::format("attribute {}={} is not {}", field.name, field.text, expected);
  }
}

void AttrParser::operator()(std::string_view name, int64_t& value) {
  Field* field = Find(name);
  if (field != nullptr && !ParseInt(field->text, value)) Fail(*field, "an integer");
}
void AttrParser::operator()(std::string_view name, double& value) {
  Field* field = Find(name);
  if (field == nullptr) return;
  const char* begin = field->text.data();
  const char* end = begin + field->text.size();
  const auto result = std::from_chars(begin, end, value);
  if (result.ec != std::errc() || result.ptr != end) Fail(*field, "a number");
}
void AttrParser::operator()(std::string_view name, bool& value) {
  Field* field = Find(name);
  if (field == nullptr) return;
  if (field->text != "true" && field->text != "false") return Fail(*field, "true or false");
  value = field->text == "true";
}
void AttrParser::operator()(std::string_view name, std::string& value) {
  Field* field = Find(name);
  if (field != nullptr && !Unquote(field->text, value)) Fail(*field, "a quoted string");
}
void AttrParser::operator()(std::string_view name, DType& value) {
  Field* field = Find(name);
  if (field == nullptr) return;
  const auto dtype = ParseDType(field->text);
  if (!dtype) return Fail(*field, "an element type");
  value = *dtype;
}
void AttrParser::operator()(std::string_view name, std::vector<int64_t>& value) {
  Field* field = Find(name);
  if (field == nullptr) return;
  std::vector<std::string> items;
  if (!SplitList(field->text, items)) return Fail(*field, "a list");
  value.resize(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    if (!ParseInt(items[i], value[i])) return Fail(*field, "a list of integers");
  }
}
void AttrParser::operator()(std::string_view name, std::vector<std::string>& value) {
  Field* field = Find(name);
  if (field == nullptr) return;
  std::vector<std::string> items;
  if (!SplitList(field->text, items)) return Fail(*field, "a list");
  value.resize(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    if (!Unquote(items[i], value[i])) return Fail(*field, "a list of quoted strings");
  }
}

Status AttrParser::Finish() const {
  if (!error_.empty()) return InvalidArgument("{}", error_);
  for (const Field& field : fields_) {
    if (!field.used) return InvalidArgument("unknown attribute '{}'", field.name);
  }
  return absl::OkStatus();
}

}  // namespace shardwise
