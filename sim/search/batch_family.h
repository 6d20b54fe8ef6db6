// All batches of one configuration at once. A graph, its partitioning and its fusion depend on the
// batch through sizes alone, so the local programs of two batches usually differ in extents only,
// and that of a batch between them is had by putting other extents in.
//
// When that holds. Sizes are straight lines in the batch, so a decision that compares two of them
// and is taken alike at both ends is taken alike in between. What is left is checked batch by
// batch: which sizes the axes of the mesh divide; how layout operations pair dimensions, which asks
// for common factors; whether two nodes become equal by coincidence and would be merged.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/base/status.h"
#include "model/ir/block.h"
#include "model/ir/mesh.h"
#include "sim/config/scenario.h"
#include "sim/cost/fusion.h"
#include "sim/search/batch_sizes.h"

namespace shardwise {

// The step of one batch as far as it does not depend on a machine.
struct BatchStep {
  int64_t batch = 0;  // sequences per step
  int64_t parameters = 0;
  Program global, local;
  std::vector<Fusion> fusions;  // by local block
};

// The step of `scenario` with another batch.
StatusOr<BatchStep> BuildBatchStep(const Scenario& scenario, int64_t batch);

// Kernels that have one price at every batch of the family.
struct PriceClass {
  int block = 0, kernel = 0;  // the first of them
  bool follows_batch = false;
};

// Sizes, and attributes with sizes in them, at one batch; for ProgramSizes::Apply.
struct BatchValues {
  std::vector<int64_t> sizes;
  std::vector<Attrs> attrs;
};

class BatchFamily {
 public:
  // Takes `low`; null if the two steps differ in more than sizes, and `low` is left.
  // low.batch < high.batch.
  static std::unique_ptr<const BatchFamily> Between(BatchStep& low, const BatchStep& high,
                                                    const Mesh& mesh);

  // What the program has at `batch`; false if the family does not speak for that batch.
  bool ValuesAt(int64_t batch, BatchValues& values) const;

  const Program& program() const { return low_.local; }  // at the low batch
  const std::vector<Fusion>& fusions() const { return low_.fusions; }
  const ProgramSizes& sizes() const { return sizes_; }
  int64_t parameters() const { return low_.parameters; }
  const std::vector<PriceClass>& price_classes() const { return classes_; }
  // By block and kernel; -1: calls.
  const std::vector<std::vector<int>>& class_of() const { return class_of_; }
  // By block: the first block that is the same at every batch.
  const std::vector<int>& same_as() const { return same_as_; }

 private:
  // A layout node whose operand or attributes follow the batch. Signatures are those of the rule.
  struct LayoutCheck {
    const OpDef* op = nullptr;
    Attrs attrs;       // at the low batch
    int pattern = -1;  // of local_ or global_ attributes
    const ProgramSizes* of = nullptr;
    TensorType type;                           // at the low batch
    std::vector<std::pair<int, int>> extents;  // (dimension, size)
    std::vector<int> low_signature, high_signature;
  };
  // Two nodes that differ in attributes only.
  struct Lookalike {
    const ProgramSizes* of = nullptr;
    int a = -1, b = -1;          // patterns; -1: text
    std::string a_text, b_text;  // at the low batch
  };

  BatchFamily(BatchStep low, const Mesh& mesh, int64_t high_batch)
      : low_(std::move(low)), table_(low_.batch, high_batch) {
    FindDivisors(mesh);
  }
  void FindDivisors(const Mesh& mesh);
  bool Compare(const BatchStep& high);
  bool FindChecks(const Program& low, const Program& high, const ProgramSizes& sizes);
  void FindLayoutChecks(const Program& low, const Program& high, const ProgramSizes& sizes);
  bool FindLookalikes(const Program& low, const ProgramSizes& sizes);
  void FindDivided();
  void FindClasses(const BatchStep& high);
  void FindSameBlocks(const BatchStep& high);
  bool DividesAlike(const std::vector<int64_t>& values) const;
  bool PairsAlike(const LayoutCheck& check, const BatchValues& values) const;

  BatchStep low_;  // without the global program
  SizeTable table_;
  ProgramSizes sizes_, global_sizes_;
  std::vector<int> divided_;       // sizes
  std::vector<int64_t> divisors_;  // products of mesh axes
  std::vector<LayoutCheck> layout_checks_;
  std::vector<Lookalike> lookalikes_;
  std::vector<PriceClass> classes_;
  std::vector<std::vector<int>> class_of_;
  std::vector<int> same_as_;
};

}  // namespace shardwise
