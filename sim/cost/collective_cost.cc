#include "sim/cost/collective_cost.h"

#include <fmt/format.h>

#include <utility>

#include "kernels/base/check.h"
#include "model/ir/structural_attrs.h"
#include "sim/net/price.h"

namespace shardwise {
namespace {

struct Request {
  CollectiveKind kind = CollectiveKind::kAllGather;
  std::vector<std::string> axes;
  int64_t group = 1;
  double bytes = 0;
  int64_t shift = 0;  // permutes
  // HBM bytes per byte sent: read to be sent, written where it arrives, and for reductions also
  // the operand it is added to.
  double hbm_per_sent = 2;
};

template <class A>
Request RequestOf(CollectiveKind kind, const Node& node, const TensorType& type, double hbm) {
  const A& a = node.attrs.As<A>();
  return {kind, a.axes, a.group, static_cast<double>(type.bytes()), 0, hbm};
}

// Priced as an even all-to-all of the rows that can be filled at both ends, times the imbalance.
// Dispatch fills every row of x and part of the result, the return takes those rows out of the
// larger buffer and fills its result: min(m, rows) either way. The mean device sends and receives
// that many rows; the fullest receives `imbalance` times as many, the collective ends when it has
// them all, and so its load is asked of every link and of the memory.
Request DescribeRagged(const Node& node, const TensorType& in, const TensorType& out) {
  const TensorType& filled = in.dims[0] < out.dims[0] ? in : out;
  auto request = RequestOf<RaggedAllToAllAttrs>(CollectiveKind::kRaggedAllToAll, node, filled, 2);
  request.bytes *= node.attrs.As<RaggedAllToAllAttrs>().imbalance;
  return request;
}

Request Describe(const Node& node, const TensorType& in, const TensorType& out) {
  const std::string_view name = node.op->name;
  if (name == "all_gather") {
    return RequestOf<AllGatherAttrs>(CollectiveKind::kAllGather, node, out, 2);
  }
  if (name == "reduce_scatter") {
    return RequestOf<ReduceScatterAttrs>(CollectiveKind::kReduceScatter, node, in, 3);
  }
  // Half of what an all-reduce sends is reduced, half gathered.
  if (name == "all_reduce") {
    return RequestOf<AllReduceAttrs>(CollectiveKind::kAllReduce, node, in, 2.5);
  }
  if (name == "all_to_all") {
    return RequestOf<AllToAllAttrs>(CollectiveKind::kAllToAll, node, in, 2);
  }
  if (name == "ragged_all_to_all") return DescribeRagged(node, in, out);
  SW_CHECK(name == "collective_permute", "no price for collective {}", name);
  Request request = RequestOf<CollectivePermuteAttrs>(CollectiveKind::kPermute, node, in, 2);
  request.shift = node.attrs.As<CollectivePermuteAttrs>().shift;
  return request;
}

CollectivePrice PriceOf(const Request& request, const GroupTopology& group, const Chip& chip) {
  const Bytes bytes = {request.bytes};
  if (request.kind != CollectiveKind::kPermute) {
    return PriceCollective(chip, request.kind, group, bytes);
  }
  if (request.group == 1) return {};
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (int64_t r = 0; r < request.group; ++r) {
    const int64_t to = (r + request.shift) % request.group;
    pairs.emplace_back(r, to < 0 ? to + request.group : to);
  }
  return PricePermute(chip, group, bytes, pairs);
}

double LinkBytes(const CollectiveStage& stage) {
  double sum = 0;
  for (double bytes : stage.bytes) sum += bytes;
  return sum;
}

}  // namespace

KernelPrice PriceCollectiveNode(const Node& node, const TensorType& in, const TensorType& out,
                                const Placement& placement,
                                const std::vector<std::string>& xla_flags) {
  const Request request = Describe(node, in, out);
  std::vector<int> axes;
  for (const std::string& axis : request.axes) {
    axes.push_back(placement.mesh.Find(axis));
    SW_CHECK(axes.back() >= 0, "{}: the placed mesh has no axis {}", node.op->name, axis);
  }
  const Chip& chip = placement.topology.chip;
  auto info = std::make_shared<CollectiveInfo>();
  info->kind = request.kind;
  info->axes = request.axes;
  info->group = request.group;
  info->bytes = {request.bytes};
  info->topology = placement.Group(axes);
  SW_CHECK(info->topology.size() == request.group, "{} over {} devices, placed on {}",
           node.op->name, request.group, info->topology.size());
  for (const GroupDim& dim : info->topology.dims) {
    info->crosses_dcn = info->crosses_dcn || dim.link == LinkClass::kDcn;
  }
  info->engine = EngineFor(chip, request.kind, info->bytes.value, xla_flags, info->crosses_dcn);
  info->label = fmt::format("{} {}", Name(request.kind), fmt::join(request.axes, "+"));

  const CollectivePrice price = PriceOf(request, info->topology, chip);
  info->sent_per_device = price.sent / static_cast<double>(request.group);
  KernelPrice result;
  result.op_class = OpClass::kCommunication;
  result.hbm_bytes = info->sent_per_device.value * request.hbm_per_sent;
  result.demand.latency_name = "ici.collective_launch_s";
  double all_links = 0;
  for (const CollectiveStage& stage : price.stages) all_links += LinkBytes(stage);
  for (const CollectiveStage& from : price.stages) {
    Stage stage;
    stage.latency = from.latency;
    if (result.demand.stages.empty()) stage.latency += price.launch;
    for (int c = 0; c < kLinkClassCount; ++c) {
      stage[ResourceOf(static_cast<LinkClass>(c))] = from.bytes[c];
      info->link_bytes[c] += from.bytes[c];
    }
    if (all_links > 0) {
      stage[Resource::kHbm] = result.hbm_bytes * LinkBytes(from) / all_links;
    }
    result.demand.stages.push_back(stage);
  }
  result.collective = std::move(info);
  return result;
}

}  // namespace shardwise
