#include "sim/validate/adapter.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kernels/base/check.h"
#include "sim/validate/adapters.h"

namespace shardwise {
namespace {

// The dtype of a value made from the source, in a case run in `wide`.
StatusOr<DType> DTypeOf(const GoldenCase& golden, const Source& source) {
  if (MakesPredicate(source)) return DType::kBool;
  bool integer = false;
  for (const Part& part : source.parts) {
    const GoldenTensor* tensor = golden.Find(part.tensor);
    if (tensor == nullptr) return GoldenArray(golden, part.tensor).status();
    if (&part != &source.parts[0] && tensor->integer != integer) {
      return InvalidArgument("{}: integers and floats", source.Name());
    }
    integer = tensor->integer;
  }
  return integer ? DType::kI32 : golden.dtype;
}

}  // namespace

StatusOr<ValueId> BuiltCase::Input(Source source) {
  const GoldenCase& golden = *golden_case;
  const Lookup lookup = [&](const std::string& name) { return GoldenArray(golden, name); };
  SW_ASSIGN_OR_RETURN(const Array array, Evaluate(source, lookup, lookup));
  SW_ASSIGN_OR_RETURN(const DType dtype, DTypeOf(golden, source));
  const ValueId value = builder.Input(source.Name(), {array.dims, dtype});
  inputs.push_back({value, std::move(source)});
  return value;
}

ValueId BuiltCase::Constant(std::string name, TensorType type, std::vector<double> values) {
  SW_CHECK(type.elements() == static_cast<int64_t>(values.size()), "{} values of {} for {}",
           values.size(), name, type.ToText());
  const ValueId value = builder.Input(std::move(name), std::move(type));
  inputs.push_back({value, {}, std::move(values)});
  return value;
}

StatusOr<Array> GoldenArray(const GoldenCase& golden, const std::string& tensor) {
  const GoldenTensor* found = golden.Find(tensor);
  if (found == nullptr) return InvalidArgument("{}: no tensor '{}'", golden.path, tensor);
  return Array{found->dims, found->values};
}

std::span<const GoldenModule> GoldenModules() {
  static constexpr std::array<GoldenModule, 17> kModules = {{
      {"attention", BuildV4Attention},
      {"csa_compressor", BuildV4Compressor},
      {"experts", BuildV4Experts},
      {"grouped_linear", BuildGroupedLinear},
      {"hca_compressor", BuildV4Compressor},
      {"hyper_head", BuildV4HyperHead},
      {"indexer", BuildV4Indexer},
      {"layer", BuildV4Layer},
      {"mhc.maps", BuildV4HyperMaps},
      {"mhc.wrap", BuildV4HyperMix},
      {"model", BuildV4Model},
      {"moe", BuildV4Moe},
      {"rmsnorm.unweighted", BuildUnweightedRmsNorm},
      {"rmsnorm.weighted", BuildRmsNorm},
      {"rope", BuildV4Rope},
      {"router", BuildV4Router},
      {"shared_mlp", BuildV4SharedExpert},
  }};
  return kModules;
}

const GoldenModule* FindGoldenModule(std::string_view kind) {
  const auto modules = GoldenModules();
  const std::string_view first = kind.substr(0, kind.find('.'));
  const auto found = std::find_if(modules.begin(), modules.end(), [&](const GoldenModule& m) {
    return m.kind == kind || m.kind == first;
  });
  return found == modules.end() ? nullptr : &*found;
}

}  // namespace shardwise
