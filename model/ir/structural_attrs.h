// Attributes that graph passes, the partitioner and the executor read or write themselves. The
// attributes of every other op are private to its file in model/ops.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/tensor.h"

namespace shardwise {

// checkpoint_name
struct CheckpointNameAttrs {
  std::string name;
  void VisitFields(auto&& v) { v("name", name); }
};

// sharding_constraint: one logical axis name per dimension, "" = no wish for this dimension's name
// (it is then unsharded, as None in a PartitionSpec); dimensions past the last name are unsharded.
// `site` is the place of MaxText that asks for it, as its dumps name it ("deepseek/x"), or empty.
struct ShardingConstraintAttrs {
  std::vector<std::string> axes;
  std::string site;
  void VisitFields(auto&& v) {
    v("axes", axes);
    v.Optional("site", site);
  }
};

// manual (shard_map): operands enter and results leave by specs, one string per value; a spec lists
// mesh axes by dimension, "fsdp,,tensor+expert" for P('fsdp', None, ('tensor', 'expert')).
// `transpose` is the rule for cotangents: "typed" or "jax_untyped" (cotangents of outputs divided
// by the devices that hold a copy, and a psum over the axes an input does not mention). `sites`, if
// any, are the places of MaxText that ask for the specs of the operands, "" where none does.
struct ManualAttrs {
  std::string block;
  std::vector<std::string> in_specs, out_specs;
  std::string transpose = "typed";
  std::vector<std::string> axes;  // of the mesh the region is written for, with their sizes
  std::vector<int64_t> sizes;
  std::vector<std::string> sites = {};
  void VisitFields(auto&& v) {
    v("block", block);
    v("in_specs", in_specs);
    v("out_specs", out_specs);
    v("transpose", transpose);
    v("axes", axes);
    v("sizes", sizes);
    v.Optional("sites", sites);
  }
};

// full: a constant tensor of one value.
struct FullAttrs {
  Dims shape;
  DType dtype = DType::kF32;
  double value = 0;
  void VisitFields(auto&& v) {
    v("shape", shape);
    v("dtype", dtype);
    v("value", value);
  }
};

// stack_slice: slice `index` of dimension `axis`, which the result lacks.
struct StackSliceAttrs {
  int64_t axis = 0, index = 0;
  void VisitFields(auto&& v) {
    v("axis", axis);
    v("index", index);
  }
};

// stack: the operands along a new dimension `axis`.
struct StackAttrs {
  int64_t axis = 0;
  void VisitFields(auto&& v) { v("axis", axis); }
};

// Collectives run among the devices that differ only in `axes` (mesh axes, major to minor); `group`
// is the number of those devices, so that types follow without a mesh. Ranks are row-major in
// `axes`.
struct AllGatherAttrs {
  std::vector<std::string> axes;
  int64_t group = 1, dim = 0;
  void VisitFields(auto&& v) {
    v("axes", axes);
    v("group", group);
    v("dim", dim);
  }
};

struct ReduceScatterAttrs {
  std::vector<std::string> axes;
  int64_t group = 1, dim = 0;
  std::string reduce = "sum";
  void VisitFields(auto&& v) {
    v("axes", axes);
    v("group", group);
    v("dim", dim);
    v("reduce", reduce);
  }
};

struct AllReduceAttrs {
  std::vector<std::string> axes;
  int64_t group = 1;
  std::string reduce = "sum";  // or "max"
  void VisitFields(auto&& v) {
    v("axes", axes);
    v("group", group);
    v("reduce", reduce);
  }
};

// Cuts `split_dim` into `group` parts, sends part r to rank r, and joins what arrives along
// `concat_dim` in rank order.
struct AllToAllAttrs {
  std::vector<std::string> axes;
  int64_t group = 1, split_dim = 0, concat_dim = 0;
  void VisitFields(auto&& v) {
    v("axes", axes);
    v("group", group);
    v("split_dim", split_dim);
    v("concat_dim", concat_dim);
  }
};

// The result has `rows` rows. `imbalance`: rows the fullest rank receives over the mean, when
// priced.
struct RaggedAllToAllAttrs {
  std::vector<std::string> axes;
  int64_t group = 1, rows = 0;
  double imbalance = 1;
  void VisitFields(auto&& v) {
    v("axes", axes);
    v("group", group);
    v("rows", rows);
    v("imbalance", imbalance);
  }
};

// Rank r sends to rank (r + shift) mod group.
struct CollectivePermuteAttrs {
  std::vector<std::string> axes;
  int64_t group = 1, shift = 1;
  void VisitFields(auto&& v) {
    v("axes", axes);
    v("group", group);
    v("shift", shift);
  }
};

// shard_slice: part r of `group` equal parts of `dim`, on rank r.
struct ShardSliceAttrs {
  std::vector<std::string> axes;
  int64_t group = 1, dim = 0;
  void VisitFields(auto&& v) {
    v("axes", axes);
    v("group", group);
    v("dim", dim);
  }
};

// pvary: `group` devices differ only in `axes`.
struct PvaryAttrs {
  std::vector<std::string> axes;
  int64_t group = 1;
  void VisitFields(auto&& v) {
    v("axes", axes);
    v("group", group);
  }
};

}  // namespace shardwise
