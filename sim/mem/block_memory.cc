#include "sim/mem/block_memory.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

// A value with a buffer of its own, live at positions [first, last] of the schedule.
struct Buffer {
  ValueId value;
  int first = 0, last = 0;
  int64_t bytes = 0;
  bool in_place = false;  // written into a buffer that is counted elsewhere
  bool on_host = false;
  BufferRole role = BufferRole::kTemporary;
  std::string_view name;
};

class BlockProfiler {
 public:
  BlockProfiler(const Program& program, int block, const BlockPlan& plan,
                const std::vector<BlockMemory>& callees, bool describe)
      : program_(program),
        block_(program.blocks[block]),
        is_entry_(block + 1 == static_cast<int>(program.blocks.size())),
        plan_(plan),
        callees_(callees),
        describe_(describe),
        producers_(Producers(block_)),
        buffer_of_(block_.types.size(), -1) {}

  BlockMemory Run() {
    FindBuffers();
    return Measure();
  }

  std::vector<BlockMemoryPoint> Points() {
    FindBuffers();
    std::vector<BlockMemoryPoint> points(at_.size());
    for (size_t p = 0; p < at_.size(); ++p) points[p].item = at_[p];
    for (const Buffer& buffer : buffers_) {
      if (buffer.in_place) continue;
      for (int p = buffer.first; p <= buffer.last; ++p) {
        int64_t& bytes = buffer.on_host ? points[p].host_bytes
                                        : points[p].bytes[static_cast<size_t>(buffer.role)];
        bytes += buffer.bytes;
      }
    }
    return points;
  }

 private:
  void FindBuffers() {
    FindPositions();
    FindLastUses();
    FindResiduals();
    buffers_.reserve(block_.types.size());
    for (size_t k = 0; k < plan_.fusion.kernels.size(); ++k) AddBuffers(static_cast<int>(k));
    PlaceOutputs();
    for (size_t k = 0; k < plan_.fusion.kernels.size(); ++k) TakeOver(static_cast<int>(k));
  }
  const FusedKernel& kernel(int k) const { return plan_.fusion.kernels[k]; }
  const Node& anchor(int k) const { return block_.nodes[kernel(k).anchor]; }
  ValueId Storage(ValueId v) const { return plan_.fusion.storage[v.v]; }
  const Block& Callee(int k) const { return program_.Get(anchor(k).attrs.As<CallAttrs>().block); }

  // Place of every kernel in the order of issue: of an asynchronous one, of its start and its done.
  void FindPositions() {
    issued_.resize(plan_.fusion.kernels.size());
    ended_.resize(plan_.fusion.kernels.size());
    int position = 0;
    for (const auto& items : plan_.schedule.segments) {
      for (const ScheduleItem& item : items) {
        if (item.kind != ScheduleItem::Kind::kDone) issued_[item.kernel] = position;
        ended_[item.kernel] = position;
        ++position;
      }
      at_.insert(at_.end(), items.begin(), items.end());
    }
  }

  void FindLastUses() {
    last_use_.assign(block_.types.size(), -1);
    for (size_t k = 0; k < plan_.fusion.kernels.size(); ++k) {
      auto use = [&](ValueId v) {
        const ValueId storage = Storage(v);
        if (storage.valid()) last_use_[storage.v] = std::max(last_use_[storage.v], ended_[k]);
      };
      for (ValueId v : kernel(static_cast<int>(k)).reads) use(v);
    }
  }

  // Values that only repeat under another name what this block was given are not buffers.
  void AddBuffers(int k) {
    for (ValueId v : kernel(k).writes) {
      Buffer buffer;
      buffer.value = v;
      buffer.first = issued_[k];
      buffer.last = std::max(last_use_[v.v], ended_[k]);
      buffer.bytes = PhysicalBytes(block_.type(v));
      buffer.name = block_.nodes[producers_[v.v]].op->name;
      if (kernel(k).kind == KernelKind::kCollective) buffer.role = BufferRole::kCollective;
      if (kernel(k).kind == KernelKind::kTransfer) buffer.on_host = plan_.prices[k]->to_host;
      if (kernel(k).kind == KernelKind::kCall) DescribeResult(k, v, buffer);
      buffer_of_[v.v] = static_cast<int>(buffers_.size());
      buffers_.push_back(buffer);
    }
  }

  void DescribeResult(int k, ValueId v, Buffer& buffer) const {
    const auto& out = anchor(k).out;
    const size_t o = std::find(out.begin(), out.end(), v) - out.begin();
    const BlockOutput& output = Callee(k).outputs[o];
    buffer.name = output.name;
    buffer.on_host = output.space == MemorySpace::kHost;
    if (output.binding == Binding::kCarry) {
      buffer.role = BufferRole::kCarry;
      return;
    }
    buffer.role = residual_[v.v] ? BufferRole::kResidual : BufferRole::kStacked;
  }

  // Stacks that calls read as residuals.
  void FindResiduals() {
    residual_.assign(block_.types.size(), false);
    for (const Node& node : block_.nodes) {
      if (!node.is(OpKind::kCall)) continue;
      const Block& callee = program_.Get(node.attrs.As<CallAttrs>().block);
      for (size_t i = 0; i < node.in.size(); ++i) {
        const ValueId storage = Storage(node.in[i]);
        if (callee.inputs[i].role == Role::kResidual && storage.valid()) {
          residual_[storage.v] = true;
        }
      }
    }
  }

  Buffer* Find(ValueId storage) {
    if (!storage.valid() || buffer_of_[storage.v] < 0) return nullptr;
    return &buffers_[buffer_of_[storage.v]];
  }

  // Block outputs live to the end. Slices of stacks and donated outputs are written in place; so is
  // a carry if the one that came in is not read any more.
  void PlaceOutputs() {
    std::vector<bool> donated(block_.outputs.size(), false);
    for (auto [input, output] : block_.donated) donated[output] = true;
    std::vector<ValueId> carries;
    for (const BlockInput& input : block_.inputs) {
      if (input.binding == Binding::kCarry) carries.push_back(input.value);
    }
    size_t carry = 0;
    for (size_t o = 0; o < block_.outputs.size(); ++o) {
      const BlockOutput& output = block_.outputs[o];
      const bool is_carry = !is_entry_ && output.binding == Binding::kCarry;
      const ValueId incoming = is_carry ? carries[carry++] : kNoValue;
      Buffer* buffer = Find(Storage(output.value));
      if (buffer == nullptr) continue;
      buffer->last = static_cast<int>(at_.size()) - 1;
      if (is_carry) {
        buffer->in_place = buffer->in_place || last_use_[incoming.v] <= buffer->first;
      } else if (is_entry_) {
        buffer->in_place = donated[o];
        if (!buffer->in_place) buffer->role = BufferRole::kOutput, buffer->name = output.name;
      } else {
        buffer->in_place = true;
      }
    }
  }

  // Operands whose elements are read where results are written: by everything a loop kernel does
  // and by epilogues. A call's carries are read and written in one place.
  std::span<const ValueId> Overwritable(int k, ValueId written) const {
    if (kernel(k).kind == KernelKind::kCompute) return kernel(k).epilogue_reads;
    if (kernel(k).kind != KernelKind::kCall) return {};
    const Block& callee = Callee(k);
    size_t carry = 0;
    for (size_t o = 0; o < callee.outputs.size(); ++o) {
      if (callee.outputs[o].binding != Binding::kCarry) continue;
      if (anchor(k).out[o] == written) break;
      ++carry;
    }
    for (size_t i = 0; i < callee.inputs.size(); ++i) {
      if (callee.inputs[i].binding != Binding::kCarry || carry-- > 0) continue;
      return {&anchor(k).in[i], 1};
    }
    return {};
  }

  void TakeOver(int k) {
    for (ValueId v : kernel(k).writes) {
      const Buffer& taker = *Find(v);
      if (taker.in_place ||
          (kernel(k).kind == KernelKind::kCall && taker.role != BufferRole::kCarry))
        continue;
      for (ValueId read : Overwritable(k, v)) {
        Buffer* given = Find(Storage(read));
        if (given == nullptr || given->in_place || given->on_host || given->bytes != taker.bytes ||
            given->last != ended_[k]) {
          continue;
        }
        --given->last;
        break;
      }
    }
  }

  const BlockMemory* CalleeAt(int position) const {
    const int k = at_[position].kernel;
    if (kernel(k).kind != KernelKind::kCall) return nullptr;
    return &callees_[program_.Find(anchor(k).attrs.As<CallAttrs>().block)];
  }

  BlockMemory Measure() const {
    const size_t count = at_.size();
    std::vector<int64_t> change(count + 1, 0), host_change(count + 1, 0);
    for (const Buffer& buffer : buffers_) {
      if (buffer.in_place || buffer.last < buffer.first) continue;
      auto& list = buffer.on_host ? host_change : change;
      list[buffer.first] += buffer.bytes;
      list[buffer.last + 1] -= buffer.bytes;
    }
    BlockMemory memory;
    int peak = -1;
    int64_t live = 0, host = 0;
    for (size_t p = 0; p < count; ++p) {
      live += change[p];
      host += host_change[p];
      const BlockMemory* callee = CalleeAt(static_cast<int>(p));
      const int64_t total = live + (callee != nullptr ? callee->peak_bytes : 0);
      memory.host_peak_bytes = std::max(memory.host_peak_bytes,
                                        host + (callee != nullptr ? callee->host_peak_bytes : 0));
      if (peak >= 0 && total <= memory.peak_bytes) continue;
      memory.peak_bytes = total;
      peak = static_cast<int>(p);
    }
    if (peak >= 0 && describe_) DescribePeak(peak, memory);
    return memory;
  }

  void DescribePeak(int peak, BlockMemory& memory) const {
    for (const Buffer& buffer : buffers_) {
      if (buffer.in_place || buffer.on_host || buffer.first > peak || buffer.last < peak) continue;
      const Node& node = block_.nodes[producers_[buffer.value.v]];
      memory.live.push_back({std::string(buffer.name), block_.scope(node),
                             block_.type(buffer.value), buffer.bytes, buffer.role});
    }
    const BlockMemory* callee = CalleeAt(peak);
    if (callee != nullptr) {
      memory.live.insert(memory.live.end(), callee->live.begin(), callee->live.end());
    }
    if (callee != nullptr && !callee->peak_block.empty()) {
      memory.peak_block = callee->peak_block;
      memory.peak_kernel = callee->peak_kernel;
      return;
    }
    const Node& node = anchor(at_[peak].kernel);
    memory.peak_block = block_.name;
    memory.peak_kernel = node.op->name;
    if (!block_.scope(node).empty())
      memory.peak_kernel = block_.scope(node) + "/" + memory.peak_kernel;
  }

  const Program& program_;
  const Block& block_;
  const bool is_entry_;
  const BlockPlan& plan_;
  const std::vector<BlockMemory>& callees_;
  const bool describe_;
  std::vector<int> producers_;
  std::vector<int> issued_, ended_;  // by kernel
  std::vector<ScheduleItem> at_;     // by position
  std::vector<int> last_use_;        // by storage; -1: never read
  std::vector<Buffer> buffers_;
  std::vector<int> buffer_of_;  // by value; -1: none
  std::vector<bool> residual_;  // by storage
};

}  // namespace

BlockMemory ProfileBlock(const Program& program, int block, const BlockPlan& plan,
                         const std::vector<BlockMemory>& callees, bool describe) {
  return BlockProfiler(program, block, plan, callees, describe).Run();
}

std::vector<BlockMemoryPoint> PointsOfBlock(const Program& program, int block,
                                            const BlockPlan& plan) {
  return BlockProfiler(program, block, plan, {}, false).Points();
}

}  // namespace shardwise
