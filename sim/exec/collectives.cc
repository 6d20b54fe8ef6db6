#include "sim/exec/collectives.h"

#include <cstring>

#include "kernels/base/check.h"
#include "model/ir/structural_attrs.h"
#include "sim/exec/parts.h"

namespace shardwise {
namespace {

GroupTopology TopologyOf(const Mesh& mesh, const std::vector<int>& axes) {
  constexpr LinkClass kLinks[] = {LinkClass::kIciX, LinkClass::kIciY, LinkClass::kIciZ};
  GroupTopology topology;
  int rings = 0;
  for (int a : axes) {
    const MeshAxis& axis = mesh.axes[a];
    if (axis.dcn > 1) {
      GroupDim dim;
      dim.link = LinkClass::kDcn;
      dim.extent = axis.dcn;
      topology.dims.push_back(dim);
    }
    if (axis.size / axis.dcn > 1) {
      GroupDim dim;
      dim.link = kLinks[rings++ % 3];
      dim.extent = axis.size / axis.dcn;
      dim.wrap = dim.extent > 2;
      topology.dims.push_back(dim);
    }
  }
  return topology;
}

CollectiveReduction ReductionNamed(const std::string& name) {
  SW_CHECK(name == "sum" || name == "max", "reduction '{}'", name);
  return name == "sum" ? CollectiveReduction::kSum : CollectiveReduction::kMax;
}

// What one group exchanges: a buffer of `elements` per rank, packed from the operand before and
// unpacked into the result after the schedule has run.
class Exchange {
 public:
  Exchange(const Mesh& mesh, const std::vector<std::string>& axes, int64_t group,
           std::span<const Tensor* const> in, std::span<Tensor* const> out)
      : groups_(GroupsOf(mesh, axes)), in_(in), out_(out) {
    const int64_t size = static_cast<int64_t>(groups_.members[0].size());
    SW_CHECK(group == size, "group of {} over axes of {} devices", group, size);
    collective_.elements = in[0]->elements();
  }

  int64_t size() const { return static_cast<int64_t>(groups_.members[0].size()); }
  Collective& collective() { return collective_; }

  // pack(rank, operand, buffer), unpack(rank, buffer, result).
  template <class Pack, class Unpack>
  void Run(Pack pack, Unpack unpack) {
    RunEach([](const std::vector<int64_t>&) {}, pack, unpack);
  }

  // Before each group prepare(members) may say what it is that this group exchanges.
  template <class Prepare, class Pack, class Unpack>
  void RunEach(Prepare prepare, Pack pack, Unpack unpack) {
    const DType dtype = in_[0]->type().dtype;
    for (const std::vector<int64_t>& members : groups_.members) {
      prepare(members);
      std::vector<Tensor> buffers(members.size(), Tensor({{collective_.elements}, dtype}));
      std::vector<Tensor*> pointers;
      for (size_t r = 0; r < members.size(); ++r) {
        pack(static_cast<int64_t>(r), *in_[members[r]], buffers[r].data());
        pointers.push_back(&buffers[r]);
      }
      Execute(collective_, groups_.topology, pointers);
      for (size_t r = 0; r < members.size(); ++r) {
        unpack(static_cast<int64_t>(r), buffers[r].data(), *out_[members[r]]);
      }
    }
  }

 private:
  DeviceGroups groups_;
  std::span<const Tensor* const> in_;
  std::span<Tensor* const> out_;
  Collective collective_;
};

void CopyAll(int64_t, const Tensor& in, std::byte* buffer) {
  if (in.type().bytes() > 0) std::memcpy(buffer, in.data(), in.type().bytes());
}
void CopyAllBack(int64_t, const std::byte* buffer, Tensor& out) {
  if (out.type().bytes() > 0) std::memcpy(out.data(), buffer, out.type().bytes());
}

// Parts of `tensor` along `dim`, one per rank, to or from chunks of a flat buffer.
void PackParts(const Tensor& tensor, int64_t dim, int64_t parts, std::byte* buffer) {
  const PartLayout layout = PartsOfDim(tensor.type(), dim, parts);
  for (int64_t p = 0; p < parts; ++p) {
    ReadPart(layout, p, tensor.data(), buffer + p * layout.part_bytes());
  }
}
void UnpackParts(const std::byte* buffer, int64_t dim, int64_t parts, Tensor& tensor) {
  const PartLayout layout = PartsOfDim(tensor.type(), dim, parts);
  for (int64_t p = 0; p < parts; ++p) {
    WritePart(layout, p, buffer + p * layout.part_bytes(), tensor.data());
  }
}

using Ins = std::span<const Tensor* const>;
using Outs = std::span<Tensor* const>;

void AllGatherOn(const AllGatherAttrs& a, const Mesh& mesh, Ins in, Outs out) {
  Exchange exchange(mesh, a.axes, a.group, in, out);
  exchange.collective().kind = CollectiveKind::kAllGather;
  exchange.collective().elements *= a.group;
  exchange.Run(
      [](int64_t rank, const Tensor& shard, std::byte* buffer) {
        CopyAll(rank, shard, buffer + rank * shard.type().bytes());
      },
      [&](int64_t, const std::byte* buffer, Tensor& whole) {
        UnpackParts(buffer, a.dim, a.group, whole);
      });
}

void ReduceScatterOn(const ReduceScatterAttrs& a, const Mesh& mesh, Ins in, Outs out) {
  Exchange exchange(mesh, a.axes, a.group, in, out);
  exchange.collective().kind = CollectiveKind::kReduceScatter;
  exchange.collective().reduction = ReductionNamed(a.reduce);
  exchange.Run([&](int64_t, const Tensor& whole,
                   std::byte* buffer) { PackParts(whole, a.dim, a.group, buffer); },
               [](int64_t rank, const std::byte* buffer, Tensor& shard) {
                 CopyAllBack(rank, buffer + rank * shard.type().bytes(), shard);
               });
}

void AllReduceOn(const AllReduceAttrs& a, const Mesh& mesh, Ins in, Outs out) {
  Exchange exchange(mesh, a.axes, a.group, in, out);
  exchange.collective().kind = CollectiveKind::kAllReduce;
  exchange.collective().reduction = ReductionNamed(a.reduce);
  exchange.Run(CopyAll, CopyAllBack);
}

void AllToAllOn(const AllToAllAttrs& a, const Mesh& mesh, Ins in, Outs out) {
  Exchange exchange(mesh, a.axes, a.group, in, out);
  exchange.collective().kind = CollectiveKind::kAllToAll;
  exchange.Run([&](int64_t, const Tensor& operand,
                   std::byte* buffer) { PackParts(operand, a.split_dim, a.group, buffer); },
               [&](int64_t, const std::byte* buffer, Tensor& result) {
                 UnpackParts(buffer, a.concat_dim, a.group, result);
               });
}

void RaggedAllToAllOn(const RaggedAllToAllAttrs& a, const Mesh& mesh,
                      std::span<const std::vector<const Tensor*>> in, Outs out) {
  Exchange exchange(mesh, a.axes, a.group, in[0], out);
  const auto prepare = [&](const std::vector<int64_t>& members) {
    std::vector<const Tensor*> sent, received;
    for (int64_t device : members) {
      sent.push_back(in[1][device]);
      received.push_back(in[2][device]);
    }
    exchange.collective() = RaggedExchange(in[0][0]->type(), a.rows, sent, received);
  };
  exchange.RunEach(prepare, CopyAll, [&](int64_t rank, const std::byte* buffer, Tensor& result) {
    CopyAllBack(rank, buffer + in[0][0]->type().bytes(), result);
  });
}

void PermuteOn(const CollectivePermuteAttrs& a, const Mesh& mesh, Ins in, Outs out) {
  Exchange exchange(mesh, a.axes, a.group, in, out);
  exchange.collective().kind = CollectiveKind::kPermute;
  const int64_t n = exchange.size();
  const int64_t shift = (a.shift % n + n) % n;
  for (int64_t r = 0; r < n; ++r) exchange.collective().pairs.emplace_back(r, (r + shift) % n);
  exchange.Run(CopyAll, CopyAllBack);
}

}  // namespace

DeviceGroups GroupsOf(const Mesh& mesh, const std::vector<std::string>& axes) {
  std::vector<int> indices;
  for (const std::string& name : axes) {
    indices.push_back(mesh.Find(name));
    SW_CHECK(indices.back() >= 0, "no mesh axis '{}'", name);
  }
  DeviceGroups groups;
  groups.topology = TopologyOf(mesh, indices);
  const int64_t size = mesh.SizeOf(axes);
  std::vector<int> group_of_base(mesh.devices(), -1);
  for (int64_t device = 0; device < mesh.devices(); ++device) {
    Dims coordinates = mesh.Coordinates(device);
    int64_t rank = 0;
    for (int a : indices) {
      rank = rank * mesh.axes[a].size + coordinates[a];
      coordinates[a] = 0;
    }
    int& group = group_of_base[mesh.Device(coordinates)];
    if (group < 0) {
      group = static_cast<int>(groups.members.size());
      groups.members.emplace_back(size, -1);
    }
    groups.members[group][rank] = device;
    groups.rank.push_back(rank);
  }
  return groups;
}

Collective RaggedExchange(const TensorType& x, int64_t rows, std::span<const Tensor* const> sent,
                          std::span<const Tensor* const> received) {
  const auto n = static_cast<int64_t>(sent.size());
  const int64_t parts = sent[0]->type().dims[1], width = x.dims[1];
  Collective collective;
  collective.kind = CollectiveKind::kRaggedAllToAll;
  collective.operand = x.elements();
  collective.elements = collective.operand + rows * width;
  for (int64_t p = 0; p < n; ++p) {
    for (int64_t q = 0; q < n; ++q) {
      int64_t count = 0;
      for (int64_t i = 0; i < parts; ++i) {
        const auto to = static_cast<int64_t>(sent[p]->Get(q * parts + i));
        const auto from = static_cast<int64_t>(received[q]->Get(p * parts + i));
        SW_CHECK(to == from && to >= 0, "rank {} sends {} rows to rank {}, which expects {}", p, to,
                 q, from);
        count += to;
      }
      collective.counts.push_back(count * width);
    }
  }
  return collective;
}

void RunCollective(const Node& node, const Mesh& mesh,
                   std::span<const std::vector<const Tensor*>> in, std::span<Tensor* const> out) {
  if (node.op->name == "all_gather") {
    AllGatherOn(node.attrs.As<AllGatherAttrs>(), mesh, in[0], out);
  } else if (node.op->name == "reduce_scatter") {
    ReduceScatterOn(node.attrs.As<ReduceScatterAttrs>(), mesh, in[0], out);
  } else if (node.op->name == "all_reduce") {
    AllReduceOn(node.attrs.As<AllReduceAttrs>(), mesh, in[0], out);
  } else if (node.op->name == "all_to_all") {
    AllToAllOn(node.attrs.As<AllToAllAttrs>(), mesh, in[0], out);
  } else if (node.op->name == "ragged_all_to_all") {
    RaggedAllToAllOn(node.attrs.As<RaggedAllToAllAttrs>(), mesh, in, out);
  } else if (node.op->name == "collective_permute") {
    PermuteOn(node.attrs.As<CollectivePermuteAttrs>(), mesh, in[0], out);
  } else {
    SW_CHECK(false, "no way to run the collective {}", node.op->name);
  }
}

void RunShardSlice(const Node& node, const Mesh& mesh, int64_t device, const Tensor& in,
                   Tensor& out) {
  const auto& a = node.attrs.As<ShardSliceAttrs>();
  const DeviceGroups groups = GroupsOf(mesh, a.axes);
  SW_CHECK(a.group == static_cast<int64_t>(groups.members[0].size()), "group of {} over {}",
           a.group, mesh.ToText());
  ReadPart(PartsOfDim(in.type(), a.dim, a.group), groups.rank[device], in.data(), out.data());
}

}  // namespace shardwise
