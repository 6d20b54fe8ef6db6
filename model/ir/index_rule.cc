#include "model/ir/index_rule.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

class RuleMaker {
 public:
  RuleMaker(std::string_view spec, size_t operand_count) : spec_(spec) {
    const size_t arrow = spec.find("->");
    SW_CHECK(arrow != std::string_view::npos, "rule '{}' has no arrow", spec);
    rule_.factors.reserve(spec.size());
    if (arrow > 0 || operand_count > 0) rule_.operands = Parse(spec.substr(0, arrow));
    rule_.results = Parse(spec.substr(arrow + 2));
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
    const std::string_view results = spec_.substr(spec_.find("->"));
    for (Factor& f : rule_.factors) {
      if (results.find(f.name) == std::string_view::npos) f.role = FactorRole::kSum;
    }
    for (auto [name, role] : roles) rule_.factors[FactorOf(name)].role = role;
  }

  IndexRule Take() { return std::move(rule_); }

 private:
  // The tensors of one side; an empty side is one scalar.
  std::vector<FactorTensor> Parse(std::string_view side) {
    std::vector<FactorTensor> tensors(1);
    bool in_group = false;
    for (const char c : side) {
      FactorTensor& tensor = tensors.back();
      if (c == ',') {
        tensors.emplace_back();
      } else if (c == '(' || c == '.') {
        in_group = c == '(';
        tensor.emplace_back();
      } else if (c == ')') {
        in_group = false;
      } else if (c != ' ') {
        if (!in_group) tensor.emplace_back();
        tensor.back().push_back(FactorOf(c));
      }
    }
    SW_CHECK(!in_group, "rule '{}'", spec_);
    return tensors;
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
