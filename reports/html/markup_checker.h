// A small reader of the HTML that pages are made of, for tests: strict where browsers forgive.
#pragma once

#include <fmt/format.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace shardwise {

// Empty if `html` is well-formed: elements nest and are closed, attributes are quoted and given
// once, ids are unique, text has no bare "<", ">" or unknown entity, and nothing needs a looser
// policy than the page has (no style or event attributes, no address but "#..."). Otherwise the
// first complaint.
class MarkupChecker {
 public:
  explicit MarkupChecker(std::string_view html) : rest_(html), size_(html.size()) {}

  std::string Complaint() {
    while (!rest_.empty() && complaint_.empty()) Next();
    if (complaint_.empty() && !open_.empty()) Complain("<{}> is not closed", open_.back());
    return complaint_;
  }

 private:
  template <class... Args>
  void Complain(fmt::format_string<Args...> text, Args&&... args) {
    if (!complaint_.empty()) return;
    complaint_ = fmt::format("byte {}: {}, before \"{}\"", size_ - rest_.size(),
                             fmt::format(text, std::forward<Args>(args)...), rest_.substr(0, 60));
  }

  bool Skip(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  // What stands before `end`, which is skipped as well.
  std::string_view Until(std::string_view end) {
    const size_t at = rest_.find(end);
    if (at == std::string_view::npos) {
      Complain("no \"{}\" follows", end);
      return {};
    }
    const std::string_view found = rest_.substr(0, at);
    rest_.remove_prefix(at + end.size());
    return found;
  }

  void Next() {
    if (rest_[0] != '<') {
      const std::string_view text = rest_.substr(0, rest_.find('<'));
      CheckText(text);
      return rest_.remove_prefix(text.size());
    }
    if (Skip("<!DOCTYPE html>")) return;
    if (Skip("<!--")) {
      Until("-->");
    } else if (Skip("</")) {
      const std::string name(Until(">"));
      if (open_.empty() || open_.back() != name) return Complain("</{}> closes nothing", name);
      open_.pop_back();
    } else {
      Skip("<");
      Element();
    }
  }

  void CheckText(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '>' || text[i] == '<') return Complain("bare {}", text[i]);
      if (static_cast<unsigned char>(text[i]) < 0x20 && text[i] != '\n' && text[i] != '\t') {
        return Complain("control character {}", static_cast<int>(text[i]));
      }
      if (text[i] != '&') continue;
      const std::string_view entity = text.substr(i, text.find(';', i) - i);
      if (entity != "&amp" && entity != "&lt" && entity != "&gt" && entity != "&quot" &&
          !entity.starts_with("&#")) {
        return Complain("entity {}", entity);
      }
    }
  }

  std::string_view Word() {
    constexpr std::string_view kLetters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    const size_t end = rest_.find_first_not_of(kLetters);
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(word.size());
    return word;
  }

  void Element() {
    const std::string name(Word());
    if (name.empty()) return Complain("an element has no name");
    std::set<std::string_view> known;
    while (Skip(" ") || Skip("\n")) {
      const std::string_view attribute = Word();
      if (attribute.empty()) break;
      if (!Skip("=\"")) return Complain("{} has no quoted value", attribute);
      Attribute(attribute, Until("\""));
      if (!known.insert(attribute).second) return Complain("{} is given twice", attribute);
    }
    if (Skip("/>")) return;
    if (!Skip(">")) return Complain("<{}> does not end", name);
    if (name == "script" || name == "style") {
      Until("</" + name + ">");
    } else {
      open_.push_back(name);
    }
  }

  void Attribute(std::string_view name, std::string_view value) {
    CheckText(value);
    if (name == "id" && !ids_.insert(std::string(value)).second)
      Complain("id {} is not unique", value);
    if (name == "style" || name.starts_with("on")) Complain("attribute {}", name);
    const bool address = name == "href" || name == "src" || name == "action";
    if (address && !value.starts_with("#")) Complain("{} leads to {}", name, value);
  }

  std::string_view rest_;
  const size_t size_;
  std::vector<std::string> open_;
  std::set<std::string> ids_;
  std::string complaint_;
};

inline std::string MarkupComplaint(std::string_view html) {
  return MarkupChecker(html).Complaint();
}

}  // namespace shardwise
