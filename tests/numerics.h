// What the tests of numerics share: drawn values, drawn meshes and rules, comparison, and the run
// of a program as it is and partitioned.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/random.h"
#include "kernels/base/tensor.h"
#include "model/ir/block.h"
#include "model/ir/mesh.h"
#include "sim/exec/execute.h"
#include "sim/mesh/partition.h"

namespace shardwise {

// Draws from one seed, in order.
class Draw {
 public:
  explicit Draw(uint64_t seed) : seed_(seed) {}

  // In [0, n).
  int64_t Below(int64_t n) {
    return static_cast<int64_t>(RandomBits(seed_, 0xd1ce, next_++) % static_cast<uint64_t>(n));
  }
  bool Chance(double p) { return RandomUniform(seed_, 0xd1ce, next_++) < p; }
  template <class T>
  const T& Of(const std::vector<T>& items) {
    return items[Below(static_cast<int64_t>(items.size()))];
  }
  template <class T>
  void Shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }
  // Floats standard normal, s32 below `bound`, pred fair.
  Tensor Values(const TensorType& type, int64_t bound = 1) {
    Tensor tensor(type);
    const uint64_t stream = 0x7e4501 + next_++;
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      const uint64_t bits = RandomBits(seed_, stream, i);
      if (IsFloat(type.dtype)) {
        tensor.Set(i, RandomNormal(seed_, stream, i));
      } else {
        const auto modulus = static_cast<uint64_t>(type.dtype == DType::kBool ? 2 : bound);
        tensor.Set(i, static_cast<double>(bits % modulus));
      }
    }
    return tensor;
  }

 private:
  uint64_t seed_;
  uint64_t next_ = 0;
};

inline const std::vector<std::string>& ShardingAxes() {
  static const std::vector<std::string> names = {"data", "fsdp", "fsdp_transpose", "tensor"};
  return names;
}

// One axis or two, 2 to 8 devices, the data axis over two slices at times; the axes keep the order
// they have in MaxText's mesh.
inline Mesh DrawMesh(Draw& draw) {
  const int64_t first = draw.Below(4), second = draw.Below(4);
  Mesh mesh;
  for (int64_t a = 0; a < 4; ++a) {
    if (a != first && a != second) continue;
    const int64_t size = first == second     ? 2 << draw.Below(3)
                         : mesh.axes.empty() ? 2 << draw.Below(2)
                                             : 2 << draw.Below(mesh.axes[0].size == 2 ? 2 : 1);
    const int64_t dcn = a == 0 && draw.Chance(0.3) ? 2 : 1;
    mesh.axes.push_back({ShardingAxes()[a], size, dcn});
  }
  return mesh;
}

// All the meshes over the axes alone and in pairs, 2 to 8 devices.
inline const std::vector<Mesh>& AllMeshes() {
  static const std::vector<Mesh> all = [] {
    std::vector<Mesh> meshes;
    for (size_t a = 0; a < ShardingAxes().size(); ++a) {
      for (int64_t size : {2, 4, 8}) meshes.push_back({{{ShardingAxes()[a], size, 1}}});
      for (size_t b = a + 1; b < ShardingAxes().size(); ++b) {
        for (auto [m, n] : {std::pair{2, 2}, {2, 4}, {4, 2}}) {
          meshes.push_back({{{ShardingAxes()[a], m, 1}, {ShardingAxes()[b], n, 1}}});
        }
      }
    }
    return meshes;
  }();
  return all;
}

// Magnitude below which a tensor counts as zero: sums that cancel exactly leave rounding of terms
// of size one.
inline constexpr double kZero = 1e-6;

// Largest difference relative to the largest magnitude of `expected`; infinite when one side alone
// is not finite. Integers and predicates: 0 or infinite.
inline double RelativeError(const Tensor& actual, const Tensor& expected) {
  if (actual.type() != expected.type()) return INFINITY;
  if (!IsFloat(expected.type().dtype)) return actual == expected ? 0 : INFINITY;
  double largest = kZero, error = 0;
  for (int64_t i = 0; i < expected.elements(); ++i) {
    const double a = actual.Get(i), e = expected.Get(i);
    if (a == e || (std::isnan(a) && std::isnan(e))) continue;
    if (!std::isfinite(a) || !std::isfinite(e)) return INFINITY;
    error = std::max(error, std::abs(a - e));
  }
  for (int64_t i = 0; i < expected.elements(); ++i) {
    if (std::isfinite(expected.Get(i))) largest = std::max(largest, std::abs(expected.Get(i)));
  }
  return error / largest;
}

inline void ExpectClose(const std::vector<Tensor>& actual, const std::vector<Tensor>& expected,
                        const Block& entry, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_LE(RelativeError(actual[i], expected[i]), tolerance)
        << "output '" << entry.outputs[i].name << "' " << expected[i].type().ToText();
  }
}

inline std::string ToText(const LogicalAxisRules& rules) {
  std::string text;
  for (const auto& [name, axes] : rules) {
    text += name + ": [";
    for (const std::string& axis : axes) text += axis + " ";
    text += "] ";
  }
  return text;
}

// Partitions, runs and compares with the unsharded results.
inline void ExpectShardedEquals(const Program& program, const Mesh& mesh,
                                const LogicalAxisRules& rules, const std::vector<Tensor>& inputs,
                                const std::vector<Tensor>& expected, double tolerance) {
  SCOPED_TRACE("mesh " + mesh.ToText() + ", rules " + ToText(rules));
  const StatusOr<SpmdProgram> spmd = Partition(program, mesh, rules);
  ASSERT_TRUE(spmd.ok()) << Message(spmd.status());
  ExpectClose(RunSharded(*spmd, inputs), expected, program.entry(), tolerance);
}

}  // namespace shardwise
