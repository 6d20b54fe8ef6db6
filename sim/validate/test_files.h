// Files for the tests of this folder.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/test_folder.h"

namespace shardwise::testing {

// A file of this process with these bytes.
inline std::string WriteFile(const std::string& name, std::string_view bytes) {
  static const TestFolder folder;
  const std::string path = folder.File(name);
  std::filesystem::remove(path);  // file systems flush what is truncated and written anew
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

template <class T>
std::string BytesOf(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// Header text and data as a file; the length is that of the header unless one is given.
inline std::string Safetensors(std::string_view header, std::string_view data = {}) {
  return BytesOf(std::vector<uint64_t>{header.size()}).append(header).append(data);
}

// Text as a JSON string; quotes are the only thing escaped.
inline std::string JsonText(std::string_view text) {
  std::string out = "\"";
  for (char c : text) out += c == '"' ? "\\\"" : std::string(1, c);
  return out + "\"";
}

// Writes safetensors files tensor by tensor.
class SafetensorsWriter {
 public:
  template <class T>
  SafetensorsWriter& Add(std::string_view name, std::string_view dtype, std::string_view shape,
                         const std::vector<T>& values) {
    const std::string bytes = BytesOf(values);
    header_ += fmt::format(R"({}{}:{{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})",
                           header_.empty() ? "" : ",", JsonText(name), dtype, shape, data_.size(),
                           data_.size() + bytes.size());
    data_ += bytes;
    return *this;
  }
  SafetensorsWriter& Meta(const std::string& key, const std::string& value) {
    metadata_[key] = value;
    return *this;
  }
  SafetensorsWriter& Drop(const std::string& key) {
    metadata_.erase(key);
    return *this;
  }

  std::string Bytes() const {
    std::string meta;
    for (const auto& [key, value] : metadata_) {
      meta += fmt::format("{}{}:{}", meta.empty() ? "" : ",", JsonText(key), JsonText(value));
    }
    std::string header =
        fmt::format(R"({{"__metadata__":{{{}}}{}{}}})", meta, header_.empty() ? "" : ",", header_);
    return Safetensors(header, data_);
  }

 private:
  std::map<std::string, std::string> metadata_;
  std::string header_, data_;
};

}  // namespace shardwise::testing
