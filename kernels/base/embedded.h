// Data files of configs/, compiled into the program.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace shardwise {

struct EmbeddedFile {
  std::string_view path;  // relative to the repository: "configs/chips/v5p.yaml"
  std::string_view text;
};

std::optional<std::string_view> FindEmbedded(std::string_view path);
// All files whose path starts with `prefix`, in path order.
std::vector<EmbeddedFile> ListEmbedded(std::string_view prefix);

extern const EmbeddedFile kEmbeddedFiles[];
extern const int kEmbeddedFileCount;

}  // namespace shardwise
