#include "sim/validate/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/base/dtype.h"
#include "sim/validate/json.h"

namespace shardwise {

static_assert(std::endian::native == std::endian::little, "elements are read as they stand");

// A file in memory, read-only.
class MappedFile {
 public:
  static StatusOr<std::shared_ptr<const MappedFile>> Open(const std::string& path);
  ~MappedFile() {
    if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::string_view bytes) : bytes_(bytes) {}
  std::string_view bytes_;
};

namespace {

constexpr int64_t kLengthBytes = 8;
constexpr size_t kMaxRank = View<double>::kMaxRank;

struct DTypeRow {
  std::string_view name;
  int64_t bytes;
};
constexpr std::array<DTypeRow, 7> kDTypes = {
    {{"F64", 8}, {"F32", 4}, {"BF16", 2}, {"I64", 8}, {"I32", 4}, {"U8", 1}, {"BOOL", 1}}};
// The format has these too; nothing here needs them.
constexpr std::array<std::string_view, 8> kOtherDTypes = {"F16", "I16", "I8",      "U64",
                                                          "U32", "U16", "F8_E4M3", "F8_E5M2"};

// Reads the header. Messages name the file; bytes are counted from its begin.
class HeaderReader {
 public:
  HeaderReader(const std::string& path, std::string_view bytes) : path_(path), bytes_(bytes) {}

  Status Read();

  std::map<std::string, std::string> metadata;
  std::vector<FileTensor> tensors;

 private:
  template <class... Args>
  Status Wrong(int64_t at, fmt::format_string<Args...> format, Args&&... args) const {
    return InvalidArgument("{}: byte {}: {}", path_, at,
                           fmt::format(format, std::forward<Args>(args)...));
  }
  StatusOr<std::string_view> HeaderText();
  Status ReadMetadata(const JsonValue& map);
  Status ReadTensor(const std::string& name, const JsonValue& map);
  StatusOr<FileDType> ReadDType(const std::string& name, const JsonValue& value) const;
  // Extents of a shape; `elements` is their product.
  StatusOr<Dims> ReadShape(const std::string& name, const JsonValue& value,
                           int64_t& elements) const;
  Status CheckOverlaps() const;

  int64_t size() const { return static_cast<int64_t>(bytes_.size()); }

  const std::string& path_;
  std::string_view bytes_;
  int64_t data_begin_ = 0;
};

Status HeaderReader::Read() {
  SW_ASSIGN_OR_RETURN(const std::string_view text, HeaderText());
  const StatusOr<JsonValue> header = ParseJson(text, kLengthBytes);
  if (!header.ok()) return InvalidArgument("{}: {}", path_, Message(header.status()));
  for (size_t i = 0; i < header->keys.size(); ++i) {
    const bool is_metadata = header->keys[i] == "__metadata__";
    SW_RETURN_IF_ERROR(is_metadata ? ReadMetadata(header->items[i])
                                   : ReadTensor(header->keys[i], header->items[i]));
  }
  SW_RETURN_IF_ERROR(CheckOverlaps());
  std::sort(tensors.begin(), tensors.end(),
            [](const FileTensor& a, const FileTensor& b) { return a.name < b.name; });
  return absl::OkStatus();
}

StatusOr<std::string_view> HeaderReader::HeaderText() {
  if (size() < kLengthBytes) return Wrong(size(), "the file ends inside the header's length");
  uint64_t length = 0;
  std::memcpy(&length, bytes_.data(), kLengthBytes);
  if (length > static_cast<uint64_t>(size() - kLengthBytes)) {
    return Wrong(0, "a header of {} bytes in a file of {}", length, size());
  }
  data_begin_ = kLengthBytes + static_cast<int64_t>(length);
  const std::string_view text = bytes_.substr(kLengthBytes, length);
  if (!text.starts_with('{')) return Wrong(kLengthBytes, "the header does not begin with '{{'");
  return text;
}

Status HeaderReader::ReadMetadata(const JsonValue& map) {
  if (!map.Is(JsonValue::Kind::kMap)) return Wrong(map.at, "__metadata__ is no map");
  for (size_t i = 0; i < map.keys.size(); ++i) {
    if (!map.items[i].Is(JsonValue::Kind::kString)) {
      return Wrong(map.items[i].at, "__metadata__ {} is no string", Quoted(map.keys[i]));
    }
    metadata.emplace(map.keys[i], map.items[i].text);
  }
  return absl::OkStatus();
}

Status HeaderReader::ReadTensor(const std::string& name, const JsonValue& map) {
  const JsonValue* dtype = map.Find("dtype");
  const JsonValue* shape = map.Find("shape");
  const JsonValue* offsets = map.Find("data_offsets");
  if (dtype == nullptr || shape == nullptr || offsets == nullptr || map.keys.size() != 3) {
    return Wrong(map.at, "tensor {} must have dtype, shape and data_offsets and no more",
                 Quoted(name));
  }
  FileTensor tensor;
  tensor.name = name;
  int64_t elements = 0;
  SW_ASSIGN_OR_RETURN(tensor.dtype, ReadDType(name, *dtype));
  SW_ASSIGN_OR_RETURN(tensor.dims, ReadShape(name, *shape, elements));
  const std::vector<JsonValue>& ends = offsets->items;
  if (!offsets->Is(JsonValue::Kind::kList) || ends.size() != 2 ||
      !ends[0].Is(JsonValue::Kind::kInteger) || !ends[1].Is(JsonValue::Kind::kInteger)) {
    return Wrong(offsets->at, "data_offsets of {} are not two integers", Quoted(name));
  }
  const int64_t begin = ends[0].integer, end = ends[1].integer;
  if (begin < 0 || begin > end || end > size() - data_begin_) {
    return Wrong(offsets->at, "{} is at [{}, {}) of {} bytes of data", Quoted(name), begin, end,
                 size() - data_begin_);
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(elements, ByteSize(tensor.dtype), &bytes) || bytes != end - begin) {
    return Wrong(offsets->at, "{} has {} bytes of data for {} elements of {}", Quoted(name),
                 end - begin, elements, Name(tensor.dtype));
  }
  tensor.begin = data_begin_ + begin;
  tensors.push_back(std::move(tensor));
  return absl::OkStatus();
}

StatusOr<FileDType> HeaderReader::ReadDType(const std::string& name, const JsonValue& value) const {
  for (size_t i = 0; i < kDTypes.size(); ++i) {
    if (value.text == kDTypes[i].name) return static_cast<FileDType>(i);
  }
  const auto* other = std::find(kOtherDTypes.begin(), kOtherDTypes.end(), value.text);
  if (other != kOtherDTypes.end()) {
    return Unimplemented("{}: byte {}: tensor {} has elements of {}, which is not read here", path_,
                         value.at, Quoted(name), *other);
  }
  return Wrong(value.at, "tensor {} has an unknown dtype {}", Quoted(name), Quoted(value.text));
}

StatusOr<Dims> HeaderReader::ReadShape(const std::string& name, const JsonValue& value,
                                       int64_t& elements) const {
  if (!value.Is(JsonValue::Kind::kList) || value.items.size() > kMaxRank) {
    return Wrong(value.at, "the shape of {} is no list of at most {} extents", Quoted(name),
                 kMaxRank);
  }
  Dims dims;
  bool empty = false;
  elements = 1;  // without extents of 0, so that strides do not overflow either
  for (const JsonValue& extent : value.items) {
    if (!extent.Is(JsonValue::Kind::kInteger) || extent.integer < 0) {
      return Wrong(extent.at, "an extent of {} is no integer from 0", Quoted(name));
    }
    dims.push_back(extent.integer);
    empty |= extent.integer == 0;
    if (extent.integer > 0 && __builtin_mul_overflow(elements, extent.integer, &elements)) {
      return Wrong(value.at, "the shape of {} has too many elements", Quoted(name));
    }
  }
  if (empty) elements = 0;
  return dims;
}

Status HeaderReader::CheckOverlaps() const {
  std::vector<const FileTensor*> by_place;
  for (const FileTensor& tensor : tensors) {
    if (tensor.elements() > 0) by_place.push_back(&tensor);
  }
  std::sort(by_place.begin(), by_place.end(),
            [](const FileTensor* a, const FileTensor* b) { return a->begin < b->begin; });
  for (size_t i = 1; i < by_place.size(); ++i) {
    const FileTensor& previous = *by_place[i - 1];
    if (by_place[i]->begin < previous.begin + previous.elements() * ByteSize(previous.dtype)) {
      return Wrong(by_place[i]->begin, "tensors {} and {} overlap", Quoted(previous.name),
                   Quoted(by_place[i]->name));
    }
  }
  return absl::OkStatus();
}

template <class T>
T Load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// An element that is no integer of int64 is the caller's mistake.
int64_t LoadInt(FileDType dtype, const char* at) {
  if (dtype == FileDType::kI64) return Load<int64_t>(at);
  if (dtype == FileDType::kI32) return Load<int32_t>(at);
  return Load<uint8_t>(at);
}

double LoadFloat(FileDType dtype, const char* at) {
  if (dtype == FileDType::kF64) return Load<double>(at);
  if (dtype == FileDType::kF32) return Load<float>(at);
  return DecodeBF16(Load<uint16_t>(at));
}

}  // namespace

StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path) {
  // A pipe must not make the program wait.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return IoError("{}: {}", path, std::strerror(errno));
  struct stat about = {};
  const bool is_file = fstat(file, &about) == 0 && S_ISREG(about.st_mode);
  const auto size = is_file ? static_cast<size_t>(about.st_size) : 0;
  void* begin = size > 0 ? mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0) : nullptr;
  const int error = errno;
  close(file);
  if (!is_file) return IoError("{}: not a regular file", path);
  if (begin == MAP_FAILED) return IoError("{}: {}", path, std::strerror(error));
  return std::shared_ptr<const MappedFile>(
      new MappedFile(std::string_view(static_cast<const char*>(begin), size)));
}

std::string_view Name(FileDType dtype) { return kDTypes[static_cast<size_t>(dtype)].name; }

int64_t ByteSize(FileDType dtype) { return kDTypes[static_cast<size_t>(dtype)].bytes; }

const FileTensor* SafetensorsFile::Find(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const FileTensor& t, std::string_view n) { return t.name < n; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

StatusOr<std::vector<double>> SafetensorsFile::ReadAsDouble(std::string_view name) const {
  const FileTensor* tensor = Find(name);
  if (tensor == nullptr || !IsFloat(tensor->dtype)) {
    SW_ASSIGN_OR_RETURN(const std::vector<int64_t> integers, ReadAsInt(name));
    constexpr int64_t kExact = int64_t{1} << std::numeric_limits<double>::digits;
    for (size_t i = 0; i < integers.size(); ++i) {
      if (integers[i] < -kExact || integers[i] > kExact) {
        return InvalidArgument("{}: byte {}: no double is exactly {}", path_,
                               tensor->begin + static_cast<int64_t>(i) * ByteSize(tensor->dtype),
                               integers[i]);
      }
    }
    return std::vector<double>(integers.begin(), integers.end());
  }
  std::vector<double> values(tensor->elements());
  const char* at = file_->bytes().data() + tensor->begin;
  for (double& value : values) {
    value = LoadFloat(tensor->dtype, at);
    at += ByteSize(tensor->dtype);
  }
  return values;
}

StatusOr<std::vector<int64_t>> SafetensorsFile::ReadAsInt(std::string_view name) const {
  const FileTensor* tensor = Find(name);
  if (tensor == nullptr) return InvalidArgument("{}: no tensor {}", path_, Quoted(name));
  if (IsFloat(tensor->dtype)) {
    return InvalidArgument("{}: tensor {} has elements of {}, not integers", path_, Quoted(name),
                           Name(tensor->dtype));
  }
  std::vector<int64_t> values(tensor->elements());
  const char* at = file_->bytes().data() + tensor->begin;
  for (int64_t& value : values) {
    value = LoadInt(tensor->dtype, at);
    if (tensor->dtype == FileDType::kBool && value > 1) {
      return InvalidArgument("{}: byte {}: {} is no BOOL", path_, at - file_->bytes().data(),
                             value);
    }
    at += ByteSize(tensor->dtype);
  }
  return values;
}

StatusOr<SafetensorsFile> OpenSafetensors(const std::string& path) {
  SafetensorsFile opened;
  opened.path_ = path;
  SW_ASSIGN_OR_RETURN(opened.file_, MappedFile::Open(path));
  HeaderReader header(path, opened.file_->bytes());
  SW_RETURN_IF_ERROR(header.Read());
  opened.metadata_ = std::move(header.metadata);
  opened.tensors_ = std::move(header.tensors);
  return opened;
}

}  // namespace shardwise
