#include "sim/validate/run_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "model/ir/verify.h"
#include "model/ops/builders.h"
#include "sim/exec/execute.h"
#include "sim/mesh/partition.h"

namespace shardwise {
namespace {

using Bound = BuiltCase::Bound;

constexpr double kToleranceF64 = 1e-10, kToleranceF32 = 1e-5;

// Which elements of golden tensors are accounted for.
class Coverage {
 public:
  explicit Coverage(const GoldenCase& golden) : golden_(golden) {}

  // Counts the elements of the source's parts that its value consists of.
  Status Add(const Source& source) {
    const Lookup numbers = [&](const std::string& name) -> StatusOr<Array> {
      SW_ASSIGN_OR_RETURN(Array array, GoldenArray(golden_, name));
      for (size_t i = 0; i < array.values.size(); ++i) {
        array.values[i] = static_cast<double>(i + 1);  // 0 stands where PlaceByIndex puts nothing
      }
      return array;
    };
    const Lookup indices = [&](const std::string& name) { return GoldenArray(golden_, name); };
    for (const Part& part : source.parts) {
      std::vector<int>& counts = CountsOf(part.tensor);
      // A predicate tells of its whole operand.
      const Source alone{.parts = {part}};
      SW_ASSIGN_OR_RETURN(const Array from, MakesPredicate(alone)
                                                ? numbers(part.tensor)
                                                : Evaluate(alone, numbers, indices));
      for (double number : from.values) {
        if (number > 0) ++counts[static_cast<size_t>(number) - 1];
      }
      for (const LayoutStep& step : part.steps) {
        // Used, but an output is compared only where it is a part.
        const auto* place = std::get_if<PlaceByIndex>(&step);
        if (place == nullptr || place->indices.starts_with("out.")) continue;
        for (int& count : CountsOf(place->indices)) ++count;
      }
    }
    return absl::OkStatus();
  }

  // Whether all elements are counted; with `once`, none more than once.
  bool Whole(const std::string& tensor, bool once = false) {
    const std::vector<int>& counts = CountsOf(tensor);
    return std::all_of(counts.begin(), counts.end(),
                       [&](int n) { return n == 1 || (n > 1 && !once); });
  }
  bool Touched(const std::string& tensor) const { return counts_.contains(tensor); }

 private:
  std::vector<int>& CountsOf(const std::string& tensor) {
    std::vector<int>& counts = counts_[tensor];
    const GoldenTensor* golden = golden_.Find(tensor);
    if (golden != nullptr) counts.resize(golden->values.size());
    return counts;
  }

  const GoldenCase& golden_;
  std::map<std::string, std::vector<int>> counts_;
};

class Runner {
 public:
  Runner(BuiltCase built, const RunOptions& options)
      : built_(std::move(built)), golden_(*built_.golden_case), options_(options) {}

  StatusOr<CaseReport> Run() {
    SW_RETURN_IF_ERROR(CheckBindings());
    SW_RETURN_IF_ERROR(CheckCoverage());
    for (const Bound& input : built_.inputs) {
      SW_ASSIGN_OR_RETURN(const Array array, InputValues(input));
      SW_RETURN_IF_ERROR(Feed(input.source.Name(), array, input.value));
    }
    for (const Bound& output : built_.outputs) {
      SW_ASSIGN_OR_RETURN(Array expected, Values(output.source, ""));
      Expect("", output, std::move(expected));
    }
    if (options_.gradients) SW_RETURN_IF_ERROR(AddGradients());
    return Compare();
  }

 private:
  struct Expected {
    std::string what;
    ValueId value;
    Array array;
    double largest;  // entry of the golden tensor that it is of, if it is of one
  };

  template <class... Args>
  Status Wrong(fmt::format_string<Args...> format, Args&&... args) const {
    return InvalidArgument("{}: {}", golden_.path,
                           fmt::format(format, std::forward<Args>(args)...));
  }

  // The golden tensors named `prefix` + what the parts name, laid out as the source says.
  StatusOr<Array> Values(const Source& source, const std::string& prefix) const {
    const Lookup plain = [&](const std::string& name) { return GoldenArray(golden_, name); };
    const Lookup lookup = [&](const std::string& name) -> StatusOr<Array> {
      const bool cotangent = prefix == "cot.";  // of "out.y" is "cot.y"
      return GoldenArray(golden_, prefix + (cotangent ? name.substr(4) : name));
    };
    return Evaluate(source, lookup, plain);
  }

  static bool IsConstant(const Bound& input) { return input.source.parts.empty(); }
  StatusOr<Array> InputValues(const Bound& input) const {
    if (IsConstant(input)) return Array{TypeOf(input).dims, input.constant};
    return Values(input.source, "");
  }

  // How many parts have a tensor of this prefix.
  size_t PartsWith(const Source& source, const std::string& prefix) const {
    return std::count_if(source.parts.begin(), source.parts.end(), [&](const Part& part) {
      return golden_.Find(prefix + (prefix == "cot." ? part.tensor.substr(4) : part.tensor));
    });
  }
  bool HasGradient(const Bound& input) const { return PartsWith(input.source, "grad.") > 0; }
  bool HasCotangent(const Bound& output) const { return PartsWith(output.source, "cot.") > 0; }

  const TensorType& TypeOf(const Bound& bound) const { return built_.builder.type(bound.value); }

  Status CheckBound(const Bound& bound, const std::string& derivative) const {
    const Source& source = bound.source;
    SW_ASSIGN_OR_RETURN(const Array array, Values(source, ""));
    if (array.dims != TypeOf(bound).dims) {
      return Wrong("{} is {}, and {} in the graph", source.Name(),
                   TensorType{array.dims, golden_.dtype}.ToText(), TypeOf(bound).ToText());
    }
    const size_t parts = PartsWith(source, derivative);
    if (parts == 0) return absl::OkStatus();
    if (parts < source.parts.size() || !IsFloat(TypeOf(bound).dtype)) {
      return Wrong("{} joins what has a '{}' tensor with what has none", source.Name(), derivative);
    }
    if (derivative == "grad." ? IsRelayout(source) : KeepsValues(source)) return absl::OkStatus();
    return Wrong("{} has a '{}' tensor and must only be laid out anew", source.Name(), derivative);
  }

  Status CheckBindings() const {
    if (built_.inputs.size() != built_.builder.block().inputs.size()) {
      return Wrong("{} inputs are bound of {}", built_.inputs.size(),
                   built_.builder.block().inputs.size());
    }
    for (const Bound& input : built_.inputs) {
      for (const Part& part : input.source.parts) {
        if (part.tensor.starts_with("out.")) return Wrong("'{}' is no input", part.tensor);
      }
      if (!IsConstant(input)) SW_RETURN_IF_ERROR(CheckBound(input, "grad."));
    }
    for (const Bound& output : built_.outputs) {
      for (const Part& part : output.source.parts) {
        if (!part.tensor.starts_with("out.")) return Wrong("'{}' is no output", part.tensor);
      }
      SW_RETURN_IF_ERROR(CheckBound(output, "cot."));
    }
    return absl::OkStatus();
  }

  Status CheckCoverage() const {
    Coverage coverage(golden_);
    for (const Bound& input : built_.inputs) SW_RETURN_IF_ERROR(coverage.Add(input.source));
    for (const Bound& output : built_.outputs) SW_RETURN_IF_ERROR(coverage.Add(output.source));
    std::set<std::string> ignored;
    for (const BuiltCase::Ignored& ignore : built_.ignored) ignored.insert(ignore.tensor);
    for (const auto& [name, tensor] : golden_.tensors) {
      if (name.starts_with("cot.") || name.starts_with("grad.")) continue;
      const bool derivative = golden_.Find("grad." + name) != nullptr ||
                              (name.starts_with("out.") && golden_.Find("cot." + name.substr(4)));
      if (ignored.erase(name) == 0) {
        if (coverage.Whole(name, derivative)) continue;
        return Wrong("'{}' is not bound, or not once with every element", name);
      }
      if (coverage.Touched(name)) return Wrong("'{}' is bound and ignored", name);
      if (derivative && !golden_.grad_none.contains(name)) {
        return Wrong("'{}' has a derivative and cannot be ignored", name);
      }
    }
    if (!ignored.empty()) return Wrong("there is no '{}' to ignore", *ignored.begin());
    return absl::OkStatus();
  }

  // Adds the value of the next input.
  Status Feed(const std::string& what, const Array& array, ValueId value) {
    inputs_.push_back(Tensor::FromValues(built_.builder.type(value), array.values));
    for (size_t i = 0; i < array.values.size(); ++i) {
      if (inputs_.back().Get(static_cast<int64_t>(i)) != array.values[i]) {
        return Wrong("{} has {}, which {} does not hold", what, array.values[i],
                     inputs_.back().type().ToText());
      }
    }
    return absl::OkStatus();
  }

  // `array` is what `bound` should be: the golden tensors named `prefix` + what its parts name.
  void Expect(const std::string& prefix, const Bound& bound, Array array) {
    double largest = 0;
    if (bound.source.parts.size() == 1) {
      const GoldenTensor* whole = golden_.Find(prefix + bound.source.parts[0].tensor);
      for (double value : whole->values) {
        if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
      }
    }
    expected_.push_back({prefix + bound.source.Name(), bound.value, std::move(array), largest});
  }

  // The sum over all outputs with a cotangent of out * cot; kNoValue without any.
  StatusOr<ValueId> Loss() {
    BlockBuilder& b = built_.builder;
    ValueId loss = kNoValue;
    for (const Bound& output : built_.outputs) {
      if (!HasCotangent(output)) continue;
      const TensorType type = TypeOf(output);
      const ValueId cotangent = b.Input("cotangent of " + output.source.Name(), type);
      SW_ASSIGN_OR_RETURN(const Array array, Values(output.source, "cot."));
      SW_RETURN_IF_ERROR(Feed(output.source.Name(), array, cotangent));
      std::vector<int64_t> axes;
      for (int64_t d = 0; d < type.rank(); ++d) axes.push_back(d);
      ValueId term = Mul(b, output.value, cotangent);
      if (!axes.empty()) term = ReduceSum(b, term, axes);
      loss = loss.valid() ? Add(b, loss, term) : term;
    }
    return loss;
  }

  Status AddGradients() {
    std::vector<const Bound*> inputs;
    std::vector<ValueId> wrt;
    for (const Bound& input : built_.inputs) {
      if (!HasGradient(input)) continue;
      inputs.push_back(&input);
      wrt.push_back(input.value);
    }
    if (wrt.empty()) return absl::OkStatus();
    SW_ASSIGN_OR_RETURN(const ValueId loss, Loss());
    if (!loss.valid()) return Wrong("gradients without a cotangent");
    const std::vector<ValueId> gradients =
        AppendBackward(built_.builder, built_.blocks, loss, wrt, built_.policies);
    for (size_t i = 0; i < inputs.size(); ++i) {
      SW_ASSIGN_OR_RETURN(Array expected, Values(inputs[i]->source, "grad."));
      Expect("grad.", {gradients[i], inputs[i]->source}, std::move(expected));
    }
    return absl::OkStatus();
  }

  StatusOr<CaseReport> Compare() {
    std::vector<BlockOutput> outputs;
    for (const Expected& expected : expected_) {
      outputs.push_back(
          {expected.value, expected.what, Binding::kCarry, 0, MemorySpace::kDevice, {}});
    }
    Program program{std::move(built_.blocks)};
    program.blocks.push_back(std::move(built_.builder).Finish(std::move(outputs)));
    SW_RETURN_IF_ERROR(Verify(program));
    // On one device; that inlines the manual regions.
    SW_ASSIGN_OR_RETURN(const SpmdProgram inlined, Partition(program, Mesh{}, {}));
    const std::vector<Tensor> results = RunProgram(inlined.program, std::move(inputs_));
    const double by_dtype = golden_.dtype == DType::kF64 ? kToleranceF64 : kToleranceF32;
    const double tolerance = options_.tolerance > 0 ? options_.tolerance : by_dtype;
    CaseReport report{.name = golden_.name, .checks = {}};
    for (size_t i = 0; i < results.size(); ++i) {
      const Array& array = expected_[i].array;
      const DType dtype = results[i].type().dtype;
      const std::vector<double> actual = results[i].ToDoubles();
      CaseReport::Check& check = report.checks.emplace_back();
      check.what = expected_[i].what;
      check.comparison = shardwise::Compare(actual, array.values, array.dims,
                                            IsFloat(dtype) ? tolerance : 0, expected_[i].largest);
      if (dtype == DType::kF32) check.ulps = UlpPercentilesF32(actual, array.values);
    }
    return report;
  }

  BuiltCase built_;
  const GoldenCase& golden_;
  RunOptions options_;
  std::vector<Tensor> inputs_;      // in the order of the entry's inputs
  std::vector<Expected> expected_;  // in the order of the entry's outputs
};

}  // namespace

bool CaseReport::passed() const {
  return std::all_of(checks.begin(), checks.end(),
                     [](const Check& check) { return check.comparison.pass; });
}

double CaseReport::worst_relative_error() const {
  double worst = 0;
  for (const Check& check : checks) worst = std::max(worst, check.comparison.relative_error);
  return worst;
}

std::string CaseReport::ToText() const {
  std::string text = fmt::format("{}: {}\n", name, passed() ? "passed" : "FAILED");
  for (const Check& check : checks) {
    text += fmt::format("  {} {}: {}", check.comparison.pass ? "ok   " : "WRONG", check.what,
                        check.comparison.ToText());
    if (check.ulps.has_value()) {
      text += fmt::format(", ulps p50 {} p90 {} p99 {} max {}", check.ulps->p50, check.ulps->p90,
                          check.ulps->p99, check.ulps->max);
    }
    text += '\n';
  }
  return text;
}

StatusOr<CaseReport> RunCase(BuiltCase built, const RunOptions& options) {
  return Runner(std::move(built), options).Run();
}

StatusOr<CaseReport> RunGoldenCase(const GoldenCase& golden, const RunOptions& options) {
  const GoldenModule* module = FindGoldenModule(golden.kind);
  if (module == nullptr) return Unimplemented("{}: no adapter for {}", golden.path, golden.kind);
  SW_ASSIGN_OR_RETURN(BuiltCase built, module->build(golden));
  return RunCase(std::move(built), options);
}

}  // namespace shardwise
