#include "model/ir/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "model/ir/verify.h"

namespace shardwise {
namespace {

std::string StringList(const std::vector<std::string>& items) {
  std::string text = "[";
  for (size_t i = 0; i < items.size(); ++i) {
    text += fmt::format("{}\"{}\"", i > 0 ? "," : "", items[i]);
  }
  return text + "]";
}

std::string BindingText(Binding binding, int64_t axis) {
  return binding == Binding::kSlice ? fmt::format("slice@{}", axis) : std::string(Name(binding));
}

void PrintNode(const Block& block, const Node& node, fmt::memory_buffer& out) {
  auto sink = std::back_inserter(out);
  fmt::format_to(sink, "  ");
  for (size_t i = 0; i < node.out.size(); ++i) {
    fmt::format_to(sink, "{}%{}: {}", i > 0 ? ", " : "", node.out[i].v,
                   block.type(node.out[i]).ToText());
  }
  fmt::format_to(sink, "{}{}{{{}}}(", node.out.empty() ? "" : " = ", node.op->name,
                 node.attrs.ToText());
  for (size_t i = 0; i < node.in.size(); ++i) {
    fmt::format_to(sink, "{}%{}", i > 0 ? ", " : "", node.in[i].v);
  }
  fmt::format_to(sink, ") {}", Name(node.phase));
  if (node.region != 0) fmt::format_to(sink, " region={}", node.region);
  if (node.scope != 0) fmt::format_to(sink, " \"{}\"", block.scope(node));
  fmt::format_to(sink, "\n");
}

// Recursive descent over one line-oriented grammar; see ToText for the productions.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  StatusOr<Program> Run() {
    Program program;
    Skip();
    while (pos_ < text_.size()) {
      SW_ASSIGN_OR_RETURN(Block block, ParseBlock());
      program.blocks.push_back(std::move(block));
      Skip();
    }
    if (program.blocks.empty()) return Error("no block");
    SW_RETURN_IF_ERROR(Verify(program));
    return program;
  }

 private:
  Status Error(std::string_view what) const {
    int line = 1, column = 1;
    for (size_t i = 0; i < pos_ && i < text_.size(); ++i) {
      column = text_[i] == '\n' ? 1 : column + 1;
      line += text_[i] == '\n' ? 1 : 0;
    }
    return InvalidArgument("{}:{}: {}", line, column, what);
  }
  void Skip() {
    while (pos_ < text_.size() && (text_[pos_] == ' ' || text_[pos_] == '\n')) ++pos_;
  }
  bool Accept(std::string_view token) {
    Skip();
    if (!text_.substr(pos_).starts_with(token)) return false;
    pos_ += token.size();
    return true;
  }
  Status Expect(std::string_view token) {
    return Accept(token) ? absl::OkStatus() : Error(fmt::format("expected '{}'", token));
  }
  std::string Word() {
    Skip();
    const size_t start = pos_;
    while (pos_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[pos_])) ||
                                   text_[pos_] == '_' || text_[pos_] == '.')) {
      ++pos_;
    }
    return std::string(text_.substr(start, pos_ - start));
  }
  StatusOr<int64_t> Integer() {
    Skip();
    int64_t value = 0;
    const auto result = std::from_chars(text_.data() + pos_, text_.data() + text_.size(), value);
    if (result.ec != std::errc()) return Error("expected an integer");
    pos_ = result.ptr - text_.data();
    return value;
  }
  StatusOr<std::string> Quoted() {
    SW_RETURN_IF_ERROR(Expect("\""));
    const size_t end = text_.find('"', pos_);
    if (end == std::string_view::npos) return Error("unterminated string");
    std::string value(text_.substr(pos_, end - pos_));
    pos_ = end + 1;
    return value;
  }
  StatusOr<TensorType> Type() {
    TensorType type;
    const std::string name = Word();
    const auto dtype = ParseDType(name);
    if (!dtype) return Error(fmt::format("unknown element type '{}'", name));
    type.dtype = *dtype;
    SW_RETURN_IF_ERROR(Expect("["));
    if (Accept("]")) return type;
    constexpr double kMostElements = 9007199254740992.0;  // 2^53: products of extents stay exact
    double elements = 1;
    do {
      SW_ASSIGN_OR_RETURN(const int64_t extent, Integer());
      if (extent < 0) return Error("negative extent");
      elements *= std::max(1.0, static_cast<double>(extent));
      type.dims.push_back(extent);
    } while (Accept(","));
    if (elements > kMostElements) return Error("more than 2^53 elements");
    SW_RETURN_IF_ERROR(Expect("]"));
    return type;
  }
  StatusOr<ValueId> Reference() {
    SW_RETURN_IF_ERROR(Expect("%"));
    SW_ASSIGN_OR_RETURN(const int64_t id, Integer());
    // A program of this length has no more values; the block's list of types grows with the number.
    if (id < 0 || id > static_cast<int64_t>(text_.size())) {
      return Error("value number out of range");
    }
    return ValueId{static_cast<int32_t>(id)};
  }
  StatusOr<ValueId> Definition(Block& block) {
    SW_ASSIGN_OR_RETURN(const ValueId id, Reference());
    SW_RETURN_IF_ERROR(Expect(":"));
    SW_ASSIGN_OR_RETURN(TensorType type, Type());
    if (id.v >= static_cast<int32_t>(block.types.size())) block.types.resize(id.v + 1);
    block.types[id.v] = std::move(type);
    return id;
  }
  Status ParseBinding(Binding& binding, int64_t& axis) {
    if (Accept("slice@")) {
      binding = Binding::kSlice;
      SW_ASSIGN_OR_RETURN(axis, Integer());
      return absl::OkStatus();
    }
    binding = Accept("carry") ? Binding::kCarry : Binding::kInvariant;
    if (binding == Binding::kInvariant) return Expect("invariant");
    return absl::OkStatus();
  }
  Status ParseTail(std::string& name, MemorySpace& space, std::vector<std::string>& axes) {
    SW_ASSIGN_OR_RETURN(name, Quoted());
    if (Accept("host")) space = MemorySpace::kHost;
    if (!Accept("axes=[")) return absl::OkStatus();
    if (Accept("]")) return absl::OkStatus();
    do {
      SW_ASSIGN_OR_RETURN(std::string axis, Quoted());
      axes.push_back(std::move(axis));
    } while (Accept(","));
    return Expect("]");
  }
  Status ParseInput(Block& block) {
    BlockInput input;
    SW_ASSIGN_OR_RETURN(input.value, Definition(block));
    SW_RETURN_IF_ERROR(ParseBinding(input.binding, input.stack_axis));
    const std::string role = Word();
    for (Role candidate : {Role::kActivation, Role::kParameter, Role::kOptimizerState, Role::kBatch,
                           Role::kResidual}) {
      if (Name(candidate) == role) input.role = candidate;
    }
    if (Name(input.role) != role) return Error(fmt::format("unknown role '{}'", role));
    SW_RETURN_IF_ERROR(ParseTail(input.name, input.space, input.logical_axes));
    block.inputs.push_back(std::move(input));
    return absl::OkStatus();
  }
  Status ParseOutput(Block& block) {
    BlockOutput output;
    SW_ASSIGN_OR_RETURN(output.value, Reference());
    SW_RETURN_IF_ERROR(ParseBinding(output.binding, output.stack_axis));
    SW_RETURN_IF_ERROR(ParseTail(output.name, output.space, output.logical_axes));
    block.outputs.push_back(std::move(output));
    return absl::OkStatus();
  }
  Status ParseDonation(Block& block) {
    SW_ASSIGN_OR_RETURN(const int64_t input, Integer());
    SW_RETURN_IF_ERROR(Expect("->"));
    SW_ASSIGN_OR_RETURN(const int64_t output, Integer());
    block.donated.emplace_back(static_cast<int>(input), static_cast<int>(output));
    return absl::OkStatus();
  }
  Status ParseNode(Block& block) {
    Node node;
    if (Accept("%")) {
      --pos_;
      do {
        SW_ASSIGN_OR_RETURN(const ValueId id, Definition(block));
        node.out.push_back(id);
      } while (Accept(","));
      SW_RETURN_IF_ERROR(Expect("="));
    }
    const std::string name = Word();
    node.op = TryFindOp(name);
    if (node.op == nullptr) return Error(fmt::format("unknown op '{}'", name));
    SW_RETURN_IF_ERROR(Expect("{"));
    const size_t close = text_.find("}(", pos_);
    if (close == std::string_view::npos) return Error("unterminated attributes");
    StatusOr<Attrs> attrs = node.op->parse_attrs(text_.substr(pos_, close - pos_));
    if (!attrs.ok()) return Error(Message(attrs.status()));
    node.attrs = *attrs;
    pos_ = close + 2;
    if (!Accept(")")) {
      do {
        SW_ASSIGN_OR_RETURN(const ValueId id, Reference());
        node.in.push_back(id);
      } while (Accept(","));
      SW_RETURN_IF_ERROR(Expect(")"));
    }
    SW_RETURN_IF_ERROR(ParseNodeTail(block, node));
    block.nodes.push_back(std::move(node));
    return absl::OkStatus();
  }
  Status ParseNodeTail(Block& block, Node& node) {
    const std::string phase = Word();
    for (Phase p : {Phase::kForward, Phase::kRecompute, Phase::kBackward, Phase::kOptimizer}) {
      if (Name(p) == phase) node.phase = p;
    }
    if (Name(node.phase) != phase) return Error(fmt::format("unknown phase '{}'", phase));
    if (Accept("region=")) {
      SW_ASSIGN_OR_RETURN(const int64_t region, Integer());
      node.region = static_cast<int32_t>(region);
    }
    Skip();
    if (pos_ < text_.size() && text_[pos_] == '"') {
      SW_ASSIGN_OR_RETURN(const std::string scope, Quoted());
      auto it = std::find(block.scopes.begin(), block.scopes.end(), scope);
      node.scope = static_cast<int32_t>(it - block.scopes.begin());
      if (it == block.scopes.end()) block.scopes.push_back(scope);
    }
    return absl::OkStatus();
  }
  StatusOr<Block> ParseBlock() {
    Block block;
    SW_RETURN_IF_ERROR(Expect("block @"));
    block.name = Word();
    SW_RETURN_IF_ERROR(Expect("{"));
    while (!Accept("}")) {
      if (pos_ >= text_.size()) return Error("unterminated block");
      if (Accept("in ")) {
        SW_RETURN_IF_ERROR(ParseInput(block));
      } else if (Accept("out ")) {
        SW_RETURN_IF_ERROR(ParseOutput(block));
      } else if (Accept("donate ")) {
        SW_RETURN_IF_ERROR(ParseDonation(block));
      } else {
        SW_RETURN_IF_ERROR(ParseNode(block));
      }
    }
    return block;
  }

  std::string_view text_;
  size_t pos_ = 0;
};

}  // namespace

std::string ToText(const Block& block) {
  fmt::memory_buffer out;
  auto sink = std::back_inserter(out);
  fmt::format_to(sink, "block @{} {{\n", block.name);
  auto tail = [&](const auto& io) {
    fmt::format_to(sink, " \"{}\"{}", io.name, io.space == MemorySpace::kHost ? " host" : "");
    if (!io.logical_axes.empty()) fmt::format_to(sink, " axes={}", StringList(io.logical_axes));
    fmt::format_to(sink, "\n");
  };
  for (const BlockInput& in : block.inputs) {
    fmt::format_to(sink, "  in %{}: {} {} {}", in.value.v, block.type(in.value).ToText(),
                   BindingText(in.binding, in.stack_axis), Name(in.role));
    tail(in);
  }
  for (const Node& node : block.nodes) PrintNode(block, node, out);
  for (const BlockOutput& output : block.outputs) {
    fmt::format_to(sink, "  out %{} {}", output.value.v,
                   BindingText(output.binding, output.stack_axis));
    tail(output);
  }
  for (auto [input, output] : block.donated) {
    fmt::format_to(sink, "  donate {}->{}\n", input, output);
  }
  fmt::format_to(sink, "}}\n");
  return fmt::to_string(out);
}

std::string ToText(const Program& program) {
  std::string text;
  for (const Block& block : program.blocks) text += ToText(block);
  return text;
}

StatusOr<Program> ParseProgram(std::string_view text) { return Parser(text).Run(); }

}  // namespace shardwise
