// Extents and attributes of a program that follow the batch: known at two batches, straight lines
// in between.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/ir/block.h"

namespace shardwise {

// Distinct sizes that differ between a low and a high batch.
class SizeTable {
 public:
  SizeTable(int64_t low_batch, int64_t high_batch) : low_(low_batch), high_(high_batch) {}

  // Number of the size that is `low` and `high` at the two ends.
  int Add(int64_t low, int64_t high);
  size_t count() const { return ends_.size(); }
  int64_t low(int size) const { return ends_[size].first; }
  int64_t high(int size) const { return ends_[size].second; }
  // Sizes at `batch`, by number; false if it lies outside or a size would not be whole.
  bool At(int64_t batch, std::vector<int64_t>& sizes) const;

 private:
  int64_t low_, high_;
  std::vector<std::pair<int64_t, int64_t>> ends_;
  std::map<std::pair<int64_t, int64_t>, int> number_;
};

// Attributes as text with sizes in it: `shape=[#,4096] dim=1`.
class AttrsPattern {
 public:
  // nullopt where the attributes differ in more than whole numbers.
  static std::optional<AttrsPattern> Between(const OpDef* op, const Attrs& low, const Attrs& high,
                                             SizeTable& table);
  std::string TextAt(const std::vector<int64_t>& sizes) const;
  Attrs At(const std::vector<int64_t>& sizes) const;

 private:
  const OpDef* op_ = nullptr;
  std::vector<std::string> literals_;  // one more than there are sizes
  std::vector<int> sizes_;
};

// What to change in a program at the low batch to have it at another.
struct ProgramSizes {
  struct Extent {
    int32_t block, value;
    int16_t dim, size;
  };
  struct NodeAttrs {
    int32_t block, node, pattern;
  };
  std::vector<Extent> extents;
  std::vector<NodeAttrs> attrs;
  std::vector<AttrsPattern> patterns;
  // Nodes whose attributes change by more than whole numbers: constants of pointwise arithmetic,
  // which nothing but execution asks for. They keep those of the low batch.
  std::vector<std::pair<int, int>> constants;  // (block, node)

  // By pattern.
  std::vector<Attrs> AttrsAt(const std::vector<int64_t>& sizes) const;
  // Sets extents and attributes of `program`, one at any batch; `made` is AttrsAt(sizes).
  void Apply(const std::vector<int64_t>& sizes, const std::vector<Attrs>& made,
             Program& program) const;
};

// Adds the sizes in which the programs differ to the table; nullopt if they differ in more.
std::optional<ProgramSizes> CompareSizes(const Program& low, const Program& high, SizeTable& table);

}  // namespace shardwise
