// The protobuf wire format, as far as a writer needs it: varints and length-delimited
// fields. Source: protobuf.dev/programming-guides/encoding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace shardwise {

class ProtoWriter {
 public:
  void Varint(int field, uint64_t value) {
    Key(field, 0);
    Raw(value);
  }
  void Text(int field, std::string_view bytes) {
    Key(field, 2);
    Raw(bytes.size());
    out_.append(bytes);
  }
  void Message(int field, const ProtoWriter& message) { Text(field, message.out_); }

  const std::string& bytes() const { return out_; }
  void clear() { out_.clear(); }

 private:
  void Key(int field, int wire_type) { Raw(static_cast<uint64_t>(field) << 3 | wire_type); }
  void Raw(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }

  std::string out_;
};

}  // namespace shardwise
