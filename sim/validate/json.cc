#include "sim/validate/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace shardwise {
namespace {

constexpr std::string_view kSeparators = " \t\r\n:,";

// Walks over text and tells how far the reader has come.
class CountingIterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator() = default;
  CountingIterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    const CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_ = nullptr;
  const char** reached_ = nullptr;
};

// Receives the events of nlohmann's parser, which keeps no call stack, and builds the value. A
// handler that returns false ends the parse; `error` then says why.
class Builder {
 public:
  using string_t = std::string;
  using Kind = JsonValue::Kind;

  Builder(std::string_view text, int64_t first_byte)
      : reached(text.data()), text_(text), first_byte_(first_byte), previous_end_(text.data()) {}

  bool null() { return Add(Kind::kNull) != nullptr; }
  bool boolean(bool value) {
    JsonValue* added = Add(Kind::kBool);
    if (added != nullptr) added->boolean = value;
    return added != nullptr;
  }
  bool number_integer(int64_t value) {
    JsonValue* added = Add(Kind::kInteger);
    if (added == nullptr) return false;
    added->integer = value;
    added->number = static_cast<double>(value);
    return true;
  }
  bool number_unsigned(uint64_t value) {
    if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return number_integer(static_cast<int64_t>(value));
    }
    return number_float(static_cast<double>(value), {});
  }
  bool number_float(double value, const std::string&) {
    JsonValue* added = Add(Kind::kNumber);
    if (added != nullptr) added->number = value;
    return added != nullptr;
  }
  bool string(std::string& value) {
    JsonValue* added = Add(Kind::kString);
    if (added != nullptr) added->text = std::move(value);
    return added != nullptr;
  }
  bool binary(std::vector<uint8_t>&) { return Fail(previous_end_, "binary data"); }
  bool start_object(size_t) { return Open(Kind::kMap); }
  bool start_array(size_t) { return Open(Kind::kList); }
  bool end_array() { return Close(); }
  bool key(std::string& name) {
    open_.back()->keys.push_back(std::move(name));
    previous_end_ = reached;
    return true;
  }
  bool end_object() {
    const JsonValue& map = *open_.back();
    std::vector<size_t> order(map.keys.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return map.keys[a] < map.keys[b]; });
    for (size_t i = 1; i < order.size(); ++i) {
      if (map.keys[order[i]] != map.keys[order[i - 1]]) continue;
      const int64_t at = map.items[order[i]].at - first_byte_;
      return Fail(text_.data() + at,
                  fmt::format("a second value for the key {}", Quoted(map.keys[order[i]])));
    }
    return Close();
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& what) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: what; last read: 'x'". The
    // position is said here as a byte, and what was read may be long.
    constexpr size_t kClip = 120;
    std::string_view message = what.what();
    message.remove_prefix(std::min(message.find("] ") + 2, message.size()));
    if (message.starts_with("parse error")) {
      message.remove_prefix(std::min(message.find(": ") + 2, message.size()));
    }
    message = message.substr(0, std::min(message.find("; last read"), kClip));
    const size_t before = std::min(position == 0 ? 0 : position - 1, text_.size());
    return Fail(text_.data() + before, fmt::format("not JSON: {}", message));
  }

  const char* reached;
  JsonValue root;
  Status error;

 private:
  // Between two values there are separators only. After a number the parser has read one byte more,
  // which is a separator or ends the list or map.
  int64_t BeginOfValue() const {
    const char* at = previous_end_;
    while (at < text_.data() + text_.size() && kSeparators.find(*at) != std::string_view::npos)
      ++at;
    return at - text_.data();
  }

  JsonValue* Add(Kind kind) {
    const int64_t at = BeginOfValue();
    if (++values_ > kMaxJsonValues) {
      Fail(text_.data() + at, fmt::format("more than {} values", kMaxJsonValues));
      return nullptr;
    }
    JsonValue* added = open_.empty() ? &root : &open_.back()->items.emplace_back();
    added->kind = kind;
    added->at = first_byte_ + at;
    previous_end_ = reached;
    return added;
  }
  bool Open(Kind kind) {
    if (open_.size() == kMaxJsonDepth) {
      return Fail(text_.data() + BeginOfValue(),
                  fmt::format("nested more than {} deep", kMaxJsonDepth));
    }
    JsonValue* added = Add(kind);
    if (added == nullptr) return false;
    open_.push_back(added);  // its own list of items does not move while it is open
    return true;
  }
  bool Close() {
    open_.pop_back();
    previous_end_ = reached;
    return true;
  }
  bool Fail(const char* at, std::string_view what) {
    error = InvalidArgument("byte {}: {}", first_byte_ + (at - text_.data()), what);
    return false;
  }

  std::string_view text_;
  int64_t first_byte_;
  const char* previous_end_;  // of the last value, key or bracket
  std::vector<JsonValue*> open_;
  int64_t values_ = 0;
};

}  // namespace

const JsonValue* JsonValue::Find(std::string_view key) const {
  const auto found = std::find(keys.begin(), keys.end(), key);
  return found == keys.end() ? nullptr : &items[found - keys.begin()];
}

StatusOr<JsonValue> ParseJson(std::string_view text, int64_t first_byte) {
  Builder builder(text, first_byte);
  const CountingIterator begin(text.data(), &builder.reached);
  const CountingIterator end(text.data() + text.size(), &builder.reached);
  if (!nlohmann::json::sax_parse(begin, end, &builder)) return builder.error;
  return std::move(builder.root);
}

std::string Quoted(std::string_view text) {
  constexpr size_t kClip = 80;
  return fmt::format("{:?}{}", text.substr(0, kClip), text.size() > kClip ? "..." : "");
}

}  // namespace shardwise
