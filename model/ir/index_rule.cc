#include "model/ir/index_rule.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

// "bs(hd)" -> {{"b"},{"s"},{"h","d"}} as letters; '.' is an empty dimension.
std::vector<std::string> SplitDims(std::string_view spec) {
  std::vector<std::string> dims;
  for (size_t i = 0; i < spec.size(); ++i) {
    if (spec[i] == '(') {
      const size_t close = spec.find(')', i);
      SW_CHECK(close != std::string_view::npos, "rule '{}'", spec);
      dims.emplace_back(spec.substr(i + 1, close - i - 1));
      i = close;
    } else if (spec[i] == '.') {
      dims.emplace_back();
    } else if (spec[i] != ' ') {
      dims.emplace_back(1, spec[i]);
    }
  }
  return dims;
}

// The tensors of one side; an empty side is one scalar.
std::vector<std::string> SplitTensors(std::string_view spec) {
  std::vector<std::string> tensors;
  size_t start = 0;
  while (true) {
    const size_t comma = spec.find(',', start);
    tensors.emplace_back(spec.substr(start, comma - start));
    if (comma == std::string_view::npos) return tensors;
    start = comma + 1;
  }
}

class RuleMaker {
 public:
  RuleMaker(std::string_view spec, size_t operand_count) : spec_(spec) {
    const size_t arrow = spec.find("->");
    SW_CHECK(arrow != std::string_view::npos, "rule '{}' has no arrow", spec);
    if (arrow > 0 || operand_count > 0) operands_ = SplitTensors(spec.substr(0, arrow));
    results_ = SplitTensors(spec.substr(arrow + 2));
    rule_.operands = Parse(operands_);
    rule_.results = Parse(results_);
  }

  void SetSize(char name, int64_t size) {
    Factor& factor = rule_.factors[FactorOf(name)];
    SW_CHECK(factor.size < 0 || factor.size == size, "rule '{}': factor {} is {} and {}", spec_,
             name, factor.size, size);
    factor.size = size;
  }

  // Sizes from operand types; a group with one unknown factor determines it.
  void SolveSizes(std::span<const TensorType> in) {
    SW_CHECK(in.size() == rule_.operands.size(), "rule '{}' on {} operands", spec_, in.size());
    for (int pass = 0; pass < 2; ++pass) {
      for (size_t k = 0; k < in.size(); ++k) {
        SW_CHECK(in[k].dims.size() == rule_.operands[k].size(), "rule '{}': operand {} is {}",
                 spec_, k, in[k].ToText());
        for (size_t d = 0; d < in[k].dims.size(); ++d)
          SolveDim(rule_.operands[k][d], in[k].dims[d]);
      }
    }
    for (const Factor& f : rule_.factors) {
      SW_CHECK(f.size >= 0, "rule '{}': factor {} has no size", spec_, f.name);
    }
  }

  void SetRoles(std::span<const std::pair<char, FactorRole>> roles) {
    for (Factor& f : rule_.factors) {
      const bool in_result = std::any_of(results_.begin(), results_.end(), [&](const auto& t) {
        return t.find(f.name) != std::string::npos;
      });
      if (!in_result) f.role = FactorRole::kSum;
    }
    for (auto [name, role] : roles) rule_.factors[FactorOf(name)].role = role;
  }

  IndexRule Take() { return std::move(rule_); }

 private:
  std::vector<FactorTensor> Parse(const std::vector<std::string>& tensors) {
    std::vector<FactorTensor> parsed;
    for (const std::string& tensor : tensors) {
      FactorTensor dims;
      for (const std::string& letters : SplitDims(tensor)) {
        FactorDim dim;
        for (char c : letters) {
          if (c != ' ') dim.push_back(FactorOf(c));
        }
        dims.push_back(dim);
      }
      parsed.push_back(dims);
    }
    return parsed;
  }

  int FactorOf(char name) {
    const int found = rule_.FindFactor(name);
    if (found >= 0) return found;
    rule_.factors.push_back({name, -1, FactorRole::kParallel});
    return static_cast<int>(rule_.factors.size()) - 1;
  }

  void SolveDim(const FactorDim& dim, int64_t extent) {
    int unknown = -1;
    int64_t known = 1;
    for (int f : dim) {
      if (rule_.factors[f].size >= 0) {
        known *= rule_.factors[f].size;
      } else if (unknown >= 0) {
        return;
      } else {
        unknown = f;
      }
    }
    if (unknown >= 0) {
      SW_CHECK(known > 0 && extent % known == 0, "rule '{}': {} does not divide {}", spec_, known,
               extent);
      rule_.factors[unknown].size = extent / known;
    } else {
      SW_CHECK(known == extent, "rule '{}': dimension of {} where factors give {}", spec_, extent,
               known);
    }
  }

  std::string_view spec_;
  std::vector<std::string> operands_, results_;
  IndexRule rule_;
};

}  // namespace

int IndexRule::FindFactor(char name) const {
  for (size_t f = 0; f < factors.size(); ++f) {
    if (factors[f].name == name) return static_cast<int>(f);
  }
  return -1;
}

Dims IndexRule::ResultDims(int result) const {
  Dims dims;
  for (const FactorDim& dim : results[result]) {
    int64_t extent = 1;
    for (int f : dim) extent *= factors[f].size;
    dims.push_back(extent);
  }
  return dims;
}

double IndexRule::Points() const {
  double points = 1;
  for (const Factor& f : factors) points *= static_cast<double>(f.size);
  return points;
}

std::string IndexRule::ToText() const {
  auto tensor = [&](const FactorTensor& dims) {
    std::string text = "(";
    for (size_t d = 0; d < dims.size(); ++d) {
      text += d > 0 ? ",[" : "[";
      for (size_t i = 0; i < dims[d].size(); ++i) {
        if (i > 0) text += ' ';
        text += factors[dims[d][i]].name;
      }
      text += ']';
    }
    return text + ")";
  };
  std::vector<std::string> in, out, sizes;
  for (const auto& t : operands) in.push_back(tensor(t));
  for (const auto& t : results) out.push_back(tensor(t));
  constexpr std::string_view kRoles[] = {"", ":sum", ":max", ":replicate"};
  for (const Factor& f : factors) {
    sizes.push_back(fmt::format("{}={}{}", f.name, f.size, kRoles[static_cast<int>(f.role)]));
  }
  return fmt::format("{}->{} {}", fmt::join(in, ","), fmt::join(out, ","), fmt::join(sizes, " "));
}

IndexRule MakeRule(std::string_view spec, std::span<const TensorType> in,
                   std::span<const std::pair<char, int64_t>> sizes,
                   std::span<const std::pair<char, FactorRole>> roles) {
  RuleMaker maker(spec, in.size());
  for (auto [name, size] : sizes) maker.SetSize(name, size);
  maker.SolveSizes(in);
  maker.SetRoles(roles);
  return maker.Take();
}

}  // namespace shardwise
