// A golden case: one run of a public PyTorch module, with its inputs, parameters, outputs and
// gradients, in a safetensors file (tests/golden/README.md). Tensors are called
//   in.<argument>, param.<state-dict name>, out.<name>  as they went in and came out;
//   cot.<name>                      cotangent of that output; outputs without one are only
//   compared; grad.in.<...>, grad.param.<...> gradient of the sum over outputs with a cotangent of
//   out * cot.
// Linear weights are [out,in], as the modules hold them.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"
#include "kernels/base/tensor.h"
#include "sim/validate/json.h"

namespace shardwise {

struct GoldenTensor {
  Dims dims;
  bool integer = false;
  std::vector<double> values;  // row-major; integers exactly
};

struct GoldenCase {
  std::string path;
  std::string name;           // "attention.csa.1.f64"
  std::string kind;           // "attention.csa"
  DType dtype = DType::kF64;  // of the floats: f64 or f32; what the case is run in
  std::string module, source, torch, seed, dtype_mode, notes;  // as the file says
  JsonValue config;                                            // a map; names of Hugging Face
  // Tensors autograd does not reach ("param.x"): their stored gradient is zero.
  std::set<std::string> grad_none;
  // Smallest distance of a value from a decision (top-k, clamp, relu); infinite without one.
  double topk_margin = 0, kink_margin = 0;
  // f64 files: error of the gradients against finite differences, and how far the module is when
  // only its weights are double.
  std::optional<double> fd_rel_error;
  std::string plain_double_deviation;
  std::map<std::string, GoldenTensor, std::less<>> tensors;

  const GoldenTensor* Find(std::string_view tensor) const;  // null if there is none

  // Values of the configuration; dots lead into maps: "rope_parameters.main.rope_theta".
  StatusOr<int64_t> Integer(std::string_view key) const;
  StatusOr<double> Number(std::string_view key) const;  // integers too
  StatusOr<std::string> Text(std::string_view key) const;
  StatusOr<std::vector<std::string>> Texts(std::string_view key) const;  // a list of strings

 private:
  StatusOr<const JsonValue*> Config(std::string_view key, JsonValue::Kind wanted) const;
};

// Reads the file and checks that it is whole: known metadata and no other, every cotangent and
// gradient with its tensor and of its shape, gradients that autograd does not reach zero.
StatusOr<GoldenCase> ReadGoldenCase(const std::string& path);

}  // namespace shardwise
