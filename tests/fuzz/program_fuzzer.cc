// libFuzzer target: any bytes as the text of a program. Parsing ends with a message or with a
// program whose text is read back as itself.
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/base/check.h"
#include "model/ir/text.h"

namespace shardwise {
namespace {

void Run(std::string_view bytes) {
  const StatusOr<Program> program = ParseProgram(bytes);
  if (!program.ok()) {
    SW_CHECK(!Message(program.status()).empty(), "no message");
    return;
  }
  const std::string text = ToText(*program);
  const StatusOr<Program> again = ParseProgram(text);
  SW_CHECK(again.ok(), "{}\n{}", Message(again.status()), text);
  SW_CHECK(ToText(*again) == text, "another program:\n{}\n{}", text, ToText(*again));
}

}  // namespace
}  // namespace shardwise

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  shardwise::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
