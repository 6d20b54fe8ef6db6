#include "sim/search/point_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <utility>

#include "sim/search/axis_values.h"

namespace shardwise {
namespace {

constexpr size_t kMaxListBytes = size_t{64} << 20;

std::optional<std::string> ReadList(const std::string& path, Diagnostics& diagnostics) {
  const Location at = {.source = FileSource(path, "")};
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    diagnostics.CannotRead(at, "is a directory");
    return std::nullopt;
  }
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::array<char, 16384> chunk;
  while (file && text.size() <= kMaxListBytes) {
    file.read(chunk.data(), chunk.size());
    text.append(chunk.data(), static_cast<size_t>(file.gcount()));
  }
  if (!file.is_open() || file.bad()) {
    diagnostics.CannotRead(at, "cannot be read");
    return std::nullopt;
  }
  if (text.size() > kMaxListBytes) {
    diagnostics.Error(at, fmt::format("is larger than {} MiB", kMaxListBytes >> 20));
    return std::nullopt;
  }
  return text;
}

struct Field {
  std::string text;
  Location at;
  bool quoted = false;
};

class ListReader {
 public:
  ListReader(SourcePtr source, Diagnostics& diagnostics) : diagnostics_(diagnostics) {
    list_.source = std::move(source);
  }

  std::optional<PointList> Read() {
    text_ = list_.source->text;
    const size_t first = text_.find_first_not_of(" \t\n");
    const bool json = first != std::string_view::npos && text_[first] == '{';
    while (ok_ && !text_.empty()) {
      ++line_;
      if (json) {
        ReadObject();
      } else {
        ReadRecord();
      }
      if (list_.rows.size() > kMaxAxisValues) {
        Fail(At(1, 1), fmt::format("more than {} points", kMaxAxisValues));
      }
    }
    if (ok_ && list_.rows.empty()) Fail({.source = list_.source}, "holds no points");
    if (!ok_) return std::nullopt;
    return std::move(list_);
  }

 private:
  Location At(size_t column, size_t length) const {
    return {.source = list_.source,
            .line = line_,
            .column = static_cast<int>(column),
            .length = std::max(1, static_cast<int>(length))};
  }

  void Fail(const Location& at, std::string text) {
    diagnostics_.Error(at, std::move(text));
    ok_ = false;
  }

  // Position of a key in the list, new ones added; -1 after a diagnostic.
  size_t KeyAt(const std::string& name, const Location& at) {
    const auto found = std::find(list_.keys.begin(), list_.keys.end(), name);
    if (found != list_.keys.end()) return static_cast<size_t>(found - list_.keys.begin());
    list_.keys.push_back(name);
    list_.keys_at.push_back(at);
    for (auto& row : list_.rows) row.resize(list_.keys.size());
    return list_.keys.size() - 1;
  }

  void ReadObject() {
    const std::string_view line = text_.substr(0, text_.find('\n'));
    text_.remove_prefix(std::min(line.size() + 1, text_.size()));
    if (line.find_first_not_of(" \t") == std::string_view::npos) return;
    const std::optional<YamlNode> object = ParseYaml(line, At(1, line.size()), diagnostics_);
    if (!object.has_value()) {
      ok_ = false;
      return;
    }
    if (!object->IsMap()) return Fail(At(1, line.size()), "expected a JSON object");
    std::vector<std::optional<YamlNode>> row(list_.keys.size());
    for (size_t i = 0; i < object->keys.size(); ++i) {
      const YamlNode& name = object->keys[i];
      const size_t key = KeyAt(name.text, LocationOf(list_.source, name));
      row.resize(list_.keys.size());
      row[key] = object->children[i];
      // Quotes are all JSON has for text, and say nothing about its type.
      if (row[key]->IsScalar() && !row[key]->text.empty()) row[key]->quoted = false;
    }
    list_.rows.push_back(std::move(row));
  }

  // One RFC 4180 field; leaves text_ at the separator behind it.
  Field ReadField(size_t& column) {
    Field field;
    const int line = line_;
    const size_t begin = column;
    size_t i = 0;
    if (text_.starts_with('"')) {
      field.quoted = true;
      for (i = 1;; ++i) {
        if (i == text_.size()) {
          Fail(At(column, 1), "'\"' is not closed");
          break;
        }
        if (text_[i] == '"' && (i + 1 == text_.size() || text_[i + 1] != '"')) break;
        if (text_[i] == '"') ++i;
        if (text_[i] == '\n') ++line_;
        field.text += text_[i];
      }
      i = std::min(i + 1, text_.size());
    }
    while (i < text_.size() && text_[i] != ',' && text_[i] != '\n') field.text += text_[i++];
    text_.remove_prefix(i);
    column += i;
    field.at = {.source = list_.source,
                .line = line,
                .column = static_cast<int>(begin + (field.quoted ? 1 : 0)),
                .length = std::max(1, static_cast<int>(field.text.size()))};
    return field;
  }

  void ReadRecord() {
    std::vector<Field> fields;
    size_t column = 1;
    while (ok_) {
      fields.push_back(ReadField(column));
      if (text_.empty() || text_.front() == '\n') break;
      text_.remove_prefix(1);
      ++column;
    }
    if (!text_.empty()) text_.remove_prefix(1);
    if (!ok_ || (fields.size() == 1 && fields[0].text.empty())) return;  // an empty line
    if (list_.keys.empty()) {
      ReadHeader(fields);
    } else {
      ReadRow(fields);
    }
  }

  void ReadHeader(const std::vector<Field>& fields) {
    for (const Field& field : fields) {
      const size_t before = list_.keys.size();
      if (KeyAt(field.text, field.at) < before) {
        return Fail(field.at, fmt::format("{} is given twice", Quote(field.text)));
      }
    }
  }

  void ReadRow(const std::vector<Field>& fields) {
    if (fields.size() != list_.keys.size()) {
      return Fail(fields.back().at, fmt::format("{} fields, but the header has {}", fields.size(),
                                                list_.keys.size()));
    }
    std::vector<std::optional<YamlNode>>& row = list_.rows.emplace_back();
    for (const Field& field : fields) {
      row.emplace_back();
      if (field.text.empty() && !field.quoted) continue;
      row.back() = ParseYaml(field.text, field.at, diagnostics_);
      if (!row.back().has_value()) ok_ = false;
      if (ok_ && field.text.empty()) row.back()->kind = YamlNode::Kind::kScalar;
    }
  }

  Diagnostics& diagnostics_;
  PointList list_;
  std::string_view text_;  // what is still to be read
  int line_ = 0;
  bool ok_ = true;
};

}  // namespace

std::optional<PointList> ReadPointList(const std::string& path, Diagnostics& diagnostics) {
  const std::optional<std::string> text = ReadList(path, diagnostics);
  if (!text.has_value()) return std::nullopt;
  return ListReader(FileSource(path, *text), diagnostics).Read();
}

}  // namespace shardwise
