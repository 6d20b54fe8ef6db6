#include "model/stacks/region_inputs.h"

#include "kernels/base/check.h"

namespace shardwise {

ValueId RegionInputs::Add(const std::string& name, ValueId operand, const ManualSpec& spec,
                          const std::string& site) {
  TensorType local = outer_.type(operand);
  for (size_t d = 0; d < spec.size(); ++d) {
    const int64_t shards = mesh_.SizeOf(spec[d]);
    SW_CHECK(local.dims[d] % shards == 0, "{} of {} over {}", name, local.ToText(), shards);
    local.dims[d] /= shards;
  }
  operands_.push_back(operand);
  specs_.push_back(ToText(spec));
  if (!site.empty()) {
    sites_.resize(specs_.size());
    sites_.back() = site;
  }
  return region_.Input(name, local);
}

}  // namespace shardwise
