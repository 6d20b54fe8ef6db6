#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "sim/config/yaml.h"

namespace shardwise {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// "true", "True" or "TRUE" for the lower-case word.
bool IsWord(std::string_view text, std::string_view word) {
  if (text.size() != word.size() || Lower(text) != word) return false;
  const auto upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  const bool rest_upper = std::all_of(text.begin() + 1, text.end(), upper);
  const bool rest_lower = std::none_of(text.begin() + 1, text.end(), upper);
  return rest_lower || (upper(text.front()) && rest_upper);
}

// The number without "_"; nullopt if one is not between digits.
std::optional<std::string> WithoutUnderscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || i + 1 == text.size() || !IsDigit(text[i - 1]) || !IsDigit(text[i + 1])) {
      return std::nullopt;
    }
  }
  return out;
}

template <class T>
std::optional<T> Parse(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// Whether a plain scalar of this text reads back as the same string, inside brackets too.
bool IsPlainSafe(std::string_view text) {
  if (text.empty()) return false;
  constexpr std::string_view kNeverFirst = "-?:,[]{}#&*!|>'\"%@` ";
  constexpr std::string_view kNever = ",[]{}#\n\t";
  if (kNeverFirst.find(text.front()) != std::string_view::npos) {
    const bool number_or_flag = text.front() == '-' && text.size() > 1 && text[1] != ' ';
    if (!number_or_flag) return false;
  }
  return text.find_first_of(kNever) == std::string_view::npos &&
         text.find(": ") == std::string_view::npos && text.back() != ':' && text.back() != ' ';
}

// In double quotes, so that line breaks survive.
std::string Escaped(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n' || c == '\t') {
      out += c == '\n' ? "\\n" : "\\t";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string Quoted(std::string_view text) {
  if (text.find_first_of("\n\t") != std::string_view::npos) return Escaped(text);
  std::string out = "'";
  for (char c : text) {
    if (c == '\'') out += '\'';
    out += c;
  }
  return out + "'";
}

}  // namespace

bool YamlNode::IsNull() const {
  if (!IsScalar()) return false;
  if (!quoted && (text.empty() || text == "~")) return true;
  if (text.size() != 4) return false;
  const std::string lower = Lower(text);
  return lower == "none" || (!quoted && lower == "null");
}

const YamlNode* YamlNode::Find(std::string_view key) const {
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].text == key) return &children[i];
  }
  return nullptr;
}

std::optional<bool> YamlNode::AsBool() const {
  if (!IsScalar() || quoted || text.empty()) return std::nullopt;
  for (std::string_view word : {"true", "on", "yes"}) {
    if (IsWord(text, word)) return true;
  }
  for (std::string_view word : {"false", "off", "no"}) {
    if (IsWord(text, word)) return false;
  }
  return std::nullopt;
}

std::optional<int64_t> YamlNode::AsInt() const {
  if (!IsScalar() || quoted || text.empty()) return std::nullopt;
  const std::optional<std::string> digits = WithoutUnderscores(text);
  if (!digits.has_value()) return std::nullopt;
  if (const auto value = Parse<int64_t>(*digits)) return value;
  const std::optional<double> real = AsDouble();
  constexpr double kExact = 9007199254740992.0;  // 2^53: every integer below is a double
  if (!real.has_value() || std::abs(*real) > kExact || *real != std::floor(*real)) {
    return std::nullopt;
  }
  return static_cast<int64_t>(*real);
}

std::optional<double> YamlNode::AsDouble() const {
  if (!IsScalar() || quoted || text.empty()) return std::nullopt;
  const std::string lower = Lower(text);
  if (lower == ".nan" || lower == "nan") return std::numeric_limits<double>::quiet_NaN();
  for (std::string_view word : {"inf", ".inf", "+.inf", "+inf"}) {
    if (lower == word) return std::numeric_limits<double>::infinity();
  }
  if (lower == "-.inf" || lower == "-inf") return -std::numeric_limits<double>::infinity();
  // from_chars would take "infinity" and "nan(...)" too.
  constexpr std::string_view kAllowed = "0123456789+-._eE";
  if (text.find_first_not_of(kAllowed) != std::string::npos) return std::nullopt;
  const std::optional<std::string> digits = WithoutUnderscores(text);
  return digits.has_value() ? Parse<double>(*digits) : std::nullopt;
}

std::string YamlNode::ToFlow() const {
  if (IsScalar()) {
    if (IsNull() && !quoted) return "null";
    YamlNode plain = *this;
    plain.quoted = false;
    const bool reads_as_other = plain.IsNull() || plain.AsBool() || plain.AsDouble();
    const bool needs_quotes = !IsPlainSafe(text) || (quoted && reads_as_other);
    return needs_quotes ? Quoted(text) : text;
  }
  std::string out;
  for (size_t i = 0; i < children.size(); ++i) {
    if (i > 0) out += ", ";
    if (IsMap()) out += keys[i].ToFlow() + ": ";
    out += children[i].ToFlow();
  }
  return IsMap() ? "{" + out + "}" : "[" + out + "]";
}

}  // namespace shardwise
