#include "sim/validate/safetensors.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "kernels/base/random.h"
#include "sim/validate/test_files.h"

namespace shardwise {
namespace {

using testing::Safetensors;
using testing::SafetensorsWriter;
using testing::WriteFile;

std::string ErrorOfBytes(const std::string& bytes) {
  const StatusOr<SafetensorsFile> file = OpenSafetensors(WriteFile("hostile", bytes));
  return file.ok() ? "" : Message(file.status());
}

// What is wrong with a header, in front of 64 bytes of data.
std::string ErrorOf(std::string_view header) {
  return ErrorOfBytes(Safetensors(header, std::string(64, '\1')));
}

#define EXPECT_ERROR(header, text) \
  EXPECT_NE(ErrorOf(header).find(text), std::string::npos) << ErrorOf(header)

SafetensorsWriter EveryDType() {
  SafetensorsWriter writer;
  writer.Meta("made", "here").Meta("empty", "");
  writer.Add<double>("f64", "F64", "[2,2]", {1.5, -0.0, 1e300, -INFINITY});
  writer.Add<float>("f32", "F32", "[3]", {0.1f, -2, INFINITY});
  writer.Add<uint16_t>("bf16", "BF16", "[2]", {0x3f80, 0xc020});
  writer.Add<uint8_t>("u8", "U8", "[1,3]", {0, 7, 255});
  writer.Add<uint8_t>("bool", "BOOL", "[2]", {0, 1});
  // Not aligned: what stands before takes 33 bytes and odd ones.
  writer.Add<int64_t>("i64", "I64", "[2]", {-5, int64_t{1} << 60});
  writer.Add<int32_t>("i32", "I32", "[]", {-100});
  writer.Add<float>("none", "F32", "[0,5]", {});
  return writer;
}

TEST(Safetensors, ReadsEveryDType) {
  const StatusOr<SafetensorsFile> file = OpenSafetensors(WriteFile("all", EveryDType().Bytes()));
  ASSERT_TRUE(file.ok()) << Message(file.status());
  EXPECT_EQ(file->metadata(),
            (std::map<std::string, std::string>{{"made", "here"}, {"empty", ""}}));
  std::vector<std::string> names;
  for (const FileTensor& tensor : file->tensors()) names.push_back(tensor.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"bf16", "bool", "f32", "f64", "i32", "i64", "none", "u8"}));
  EXPECT_EQ(file->Find("f64")->dims, (Dims{2, 2}));
  EXPECT_EQ(Name(file->Find("bool")->dtype), "BOOL");
  EXPECT_EQ(file->Find("x"), nullptr);
  EXPECT_EQ(*file->ReadAsDouble("f64"), (std::vector<double>{1.5, -0.0, 1e300, -INFINITY}));
  EXPECT_EQ(*file->ReadAsDouble("f32"), (std::vector<double>{0.1f, -2, INFINITY}));
  EXPECT_EQ(*file->ReadAsDouble("bf16"), (std::vector<double>{1, -2.5}));
  EXPECT_EQ(*file->ReadAsDouble("u8"), (std::vector<double>{0, 7, 255}));
  EXPECT_EQ(*file->ReadAsDouble("i32"), (std::vector<double>{-100}));
  EXPECT_TRUE(file->ReadAsDouble("none")->empty());
  EXPECT_EQ(*file->ReadAsInt("i64"), (std::vector<int64_t>{-5, int64_t{1} << 60}));
  EXPECT_EQ(*file->ReadAsInt("bool"), (std::vector<int64_t>{0, 1}));
}

TEST(Safetensors, ReadsOnlyWhatTheTypeHolds) {
  SafetensorsWriter writer;
  writer.Add<int64_t>("exact", "I64", "[2]", {int64_t{1} << 53, -(int64_t{1} << 53)});
  writer.Add<int64_t>("large", "I64", "[2]", {3, (int64_t{1} << 53) + 1});
  writer.Add<uint8_t>("bool", "BOOL", "[2]", {1, 2});
  writer.Add<double>("f64", "F64", "[1]", {1});
  const StatusOr<SafetensorsFile> file = OpenSafetensors(WriteFile("holds", writer.Bytes()));
  ASSERT_TRUE(file.ok()) << Message(file.status());
  EXPECT_TRUE(file->ReadAsDouble("exact").ok());
  EXPECT_NE(Message(file->ReadAsDouble("large").status()).find("9007199254740993"),
            std::string::npos);
  EXPECT_NE(Message(file->ReadAsInt("bool").status()).find("2 is no BOOL"), std::string::npos);
  EXPECT_FALSE(file->ReadAsInt("f64").ok());
  EXPECT_FALSE(file->ReadAsInt("none").ok());
  EXPECT_FALSE(file->ReadAsDouble("none").ok());
}

TEST(Safetensors, FilesThatCannotBeRead) {
  const std::string folder = ::testing::TempDir();
  EXPECT_EQ(OpenSafetensors(folder + "sw_no_such_file").status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(OpenSafetensors(folder).status().code(), absl::StatusCode::kUnavailable);
  // A pipe nobody writes to must not block.
  const std::string pipe = WriteFile("pipe", "") + ".fifo";
  ::unlink(pipe.c_str());
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(OpenSafetensors(pipe).status().code(), absl::StatusCode::kUnavailable);
  ::unlink(pipe.c_str());
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const std::string bytes = EveryDType().Bytes();
  ASSERT_EQ(ErrorOfBytes(bytes), "");
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::string error = ErrorOfBytes(bytes.substr(0, n));
    EXPECT_NE(error.find("hostile: byte "), std::string::npos) << n << ": " << error;
  }
}

TEST(Safetensors, HeaderLengths) {
  const std::string bytes = EveryDType().Bytes();
  for (const uint64_t length :
       {uint64_t{0}, uint64_t{1}, bytes.size() - 7, uint64_t{1} << 31, uint64_t{1} << 32,
        uint64_t{1} << 63, std::numeric_limits<uint64_t>::max() - 7,
        std::numeric_limits<uint64_t>::max()}) {
    std::string changed = bytes;
    changed.replace(0, 8, testing::BytesOf(std::vector<uint64_t>{length}));
    EXPECT_NE(ErrorOfBytes(changed).find("byte "), std::string::npos) << length;
  }
}

TEST(Safetensors, WrongTensors) {
  EXPECT_ERROR(R"([])", "byte 8: the header does not begin with '{'");
  EXPECT_ERROR(R"( {})", "byte 8: the header does not begin with '{'");
  EXPECT_ERROR(R"({"x":1})", "byte 13: tensor \"x\" must have dtype");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[1]}})", "must have dtype, shape and data_offsets");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"y":1}})", "and no more");
  EXPECT_ERROR(R"({"x":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})",
               "byte 22: tensor \"x\" has an unknown dtype \"F31\"");
  EXPECT_ERROR(R"({"x":{"dtype":4,"shape":[1],"data_offsets":[0,4]}})", "unknown dtype");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":4,"data_offsets":[0,4]}})", "byte 36: the shape");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "byte 37: an extent");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", "byte 37: an extent");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})",
               "at most 8 extents");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})",
               "\"x\" has 4 bytes of data for 2 elements of F32");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "at [4, 0) of 64");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", "at [-4, 0) of 64");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[64,68]}})", "at [64, 68) of 64");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", "not two integers");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":["0",4]}})", "not two integers");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,1e9]}})", "not two integers");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,NaN]}})", "not JSON");
  EXPECT_ERROR(R"({"__metadata__":{"a":1}})", "__metadata__ \"a\" is no string");
  EXPECT_ERROR(R"({"__metadata__":"a"})", "__metadata__ is no map");
  EXPECT_ERROR("{\"\xff\":1}", "byte 10: not JSON");
  EXPECT_ERROR(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
               R"("x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
               "a second value for the key \"x\"");
}

TEST(Safetensors, UnreadDTypesAreUnimplemented) {
  const auto file = OpenSafetensors(WriteFile(
      "half", Safetensors(R"({"x":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})", "ab")));
  EXPECT_EQ(file.status().code(), absl::StatusCode::kUnimplemented);
}

// Products and ends that would be right after a wrap of 64 bits.
TEST(Safetensors, Overflows) {
  EXPECT_ERROR(R"({"x":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
               "too many elements");
  EXPECT_ERROR(R"({"x":{"dtype":"F64","shape":[2305843009213693953],"data_offsets":[0,8]}})",
               "8 bytes of data");
  EXPECT_ERROR(R"({"x":{"dtype":"U8","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}})",
               "too many elements");
  EXPECT_ERROR(R"({"x":{"dtype":"U8","shape":[18446744073709551617],"data_offsets":[0,1]}})",
               "an extent");
  EXPECT_ERROR(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551615,0]}})",
               "not two integers");
  EXPECT_ERROR(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[9223372036854775807,0]}})",
               "at [9223372036854775807, 0)");
  EXPECT_ERROR(R"({"x":{"dtype":"U8","shape":[0],)"
               R"("data_offsets":[9223372036854775807,9223372036854775807]}})",
               "of 64 bytes");
}

TEST(Safetensors, HolesButNoOverlaps) {
  EXPECT_EQ(ErrorOf(R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                    R"("y":{"dtype":"U8","shape":[4],"data_offsets":[40,44]},)"
                    R"("z":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})"),
            "");
  EXPECT_ERROR(R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[3,7]},)"
               R"("y":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
               "tensors \"y\" and \"x\" overlap");
  EXPECT_ERROR(R"({"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
               R"("y":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
               "overlap");
}

TEST(Safetensors, DeepNestingTakesNoTime) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_ERROR("{\"x\":" + std::string(100000, '['), "nested more than 16 deep");
  std::string maps;
  for (int i = 0; i < 100000; ++i) maps += "{\"a\":";
  EXPECT_ERROR(maps, "nested more than 16 deep");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

// Whatever single byte is changed, the file is refused or all its tensors can be read.
TEST(Safetensors, ChangedBytes) {
  const std::string bytes = EveryDType().Bytes();
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ (1 + RandomBits(3, 1, at) % 255));
    const StatusOr<SafetensorsFile> file = OpenSafetensors(WriteFile("changed", changed));
    if (!file.ok()) continue;
    for (const FileTensor& tensor : file->tensors()) {
      const StatusOr<std::vector<double>> values = file->ReadAsDouble(tensor.name);
      EXPECT_TRUE(!values.ok() || static_cast<int64_t>(values->size()) == tensor.elements());
    }
  }
}

}  // namespace
}  // namespace shardwise
