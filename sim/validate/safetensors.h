// Reader of safetensors files: 8 bytes of header length (little-endian), a JSON header that gives
// each tensor's element type, shape and place, then the elements, row-major and little-endian. The
// format is described at https://huggingface.co/docs/safetensors.
//
// A file may come from anywhere. All that its header claims is checked when it is opened, so that
// reading a tensor stays inside the file; nothing is allocated by a length that only the header
// knows. Holes between tensors are allowed, overlaps are not. The file is mapped, not read: it must
// not shrink while it is open.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"
#include "kernels/base/tensor.h"

namespace shardwise {

class MappedFile;

// The element types that are read; a file with another one is refused (Unimplemented).
enum class FileDType : uint8_t { kF64, kF32, kBF16, kI64, kI32, kU8, kBool };
std::string_view Name(FileDType dtype);  // "F64", "BOOL", ...
int64_t ByteSize(FileDType dtype);
inline bool IsFloat(FileDType dtype) { return dtype <= FileDType::kBF16; }

struct FileTensor {
  std::string name;
  FileDType dtype = FileDType::kF32;
  Dims dims;          // at most View's largest rank
  int64_t begin = 0;  // byte of the file
  int64_t elements() const { return Product(dims); }
};

class SafetensorsFile {
 public:
  const std::string& path() const { return path_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::vector<FileTensor>& tensors() const { return tensors_; }  // by name
  const FileTensor* Find(std::string_view name) const;                 // null if there is none

  // Elements in row-major order, exactly: an integer that a double cannot hold is an error.
  StatusOr<std::vector<double>> ReadAsDouble(std::string_view name) const;
  // Integers and BOOL (0 or 1).
  StatusOr<std::vector<int64_t>> ReadAsInt(std::string_view name) const;

 private:
  friend StatusOr<SafetensorsFile> OpenSafetensors(const std::string& path);

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, std::string> metadata_;
  std::vector<FileTensor> tensors_;
};

// IoError if the file cannot be read; InvalidArgument, with the byte, if it is not well-formed.
StatusOr<SafetensorsFile> OpenSafetensors(const std::string& path);

}  // namespace shardwise
