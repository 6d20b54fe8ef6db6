#include "kernels/base/embedded.h"

#include <span>

namespace shardwise {

std::optional<std::string_view> FindEmbedded(std::string_view path) {
  for (const EmbeddedFile& file : std::span(kEmbeddedFiles, kEmbeddedFileCount)) {
    if (file.path == path) return file.text;
  }
  return std::nullopt;
}

std::vector<EmbeddedFile> ListEmbedded(std::string_view prefix) {
  std::vector<EmbeddedFile> found;
  for (const EmbeddedFile& file : std::span(kEmbeddedFiles, kEmbeddedFileCount)) {
    if (file.path.starts_with(prefix)) found.push_back(file);
  }
  return found;
}

}  // namespace shardwise
