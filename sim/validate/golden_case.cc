#include "sim/validate/golden_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "sim/validate/safetensors.h"

namespace shardwise {
namespace {

using Kind = JsonValue::Kind;

constexpr std::array<std::string_view, 12> kRequired = {
    "case",   "config", "convention", "dtype_mode", "grad_none",   "kink_margin",
    "module", "notes",  "seed",       "source",     "topk_margin", "torch"};
constexpr std::array<std::string_view, 2> kOptional = {"fd_rel_error", "plain_double_deviation"};

std::string_view Name(Kind kind) {
  constexpr std::array<std::string_view, 7> kNames = {"null",   "bool", "integer", "number",
                                                      "string", "list", "map"};
  return kNames[static_cast<size_t>(kind)];
}

template <class List>
bool Contains(const List& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// A tensor that is an input: "in.x", "param.w".
bool IsLeaf(std::string_view name) { return name.starts_with("in.") || name.starts_with("param."); }

class CaseReader {
 public:
  explicit CaseReader(const SafetensorsFile& file) : file_(file) { case_.path = file.path(); }

  StatusOr<GoldenCase> Read() && {
    SW_RETURN_IF_ERROR(CheckKeys());
    SW_RETURN_IF_ERROR(ReadMetadata());
    SW_RETURN_IF_ERROR(ReadTensors());
    for (const auto& [name, tensor] : case_.tensors) SW_RETURN_IF_ERROR(CheckTensor(name, tensor));
    SW_RETURN_IF_ERROR(CheckGradNone());
    return std::move(case_);
  }

 private:
  template <class... Args>
  Status Wrong(fmt::format_string<Args...> format, Args&&... args) const {
    return InvalidArgument("{}: {}", case_.path, fmt::format(format, std::forward<Args>(args)...));
  }

  Status CheckKeys() const {
    for (const auto& [key, value] : file_.metadata()) {
      if (!Contains(kRequired, key) && !Contains(kOptional, key)) {
        return Wrong("unknown metadata {}", Quoted(key));
      }
    }
    for (std::string_view key : kRequired) {
      if (!file_.metadata().contains(std::string(key))) return Wrong("no metadata '{}'", key);
    }
    return absl::OkStatus();
  }

  const std::string& Meta(const std::string& key) const { return file_.metadata().at(key); }

  StatusOr<double> MetaNumber(const std::string& key) const {
    const std::string& text = Meta(key);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
      return Wrong("metadata '{}' is {}, no number", key, Quoted(text));
    }
    return value;
  }

  StatusOr<JsonValue> MetaJson(const std::string& key, Kind kind) const {
    const StatusOr<JsonValue> value = ParseJson(Meta(key));
    if (!value.ok()) return Wrong("metadata '{}': {}", key, Message(value.status()));
    if (!value->Is(kind)) return Wrong("metadata '{}' is no JSON {}", key, Name(kind));
    return value;
  }

  Status ReadMetadata() {
    case_.name = Meta("case");
    case_.module = Meta("module");
    case_.source = Meta("source");
    case_.torch = Meta("torch");
    case_.seed = Meta("seed");
    case_.dtype_mode = Meta("dtype_mode");
    case_.notes = Meta("notes");
    if (Meta("convention") != "hf") return Wrong("convention {}", Quoted(Meta("convention")));
    SW_RETURN_IF_ERROR(ReadName());
    SW_ASSIGN_OR_RETURN(case_.config, MetaJson("config", Kind::kMap));
    SW_ASSIGN_OR_RETURN(const JsonValue none, MetaJson("grad_none", Kind::kList));
    for (const JsonValue& name : none.items) case_.grad_none.insert(name.text);
    SW_ASSIGN_OR_RETURN(case_.topk_margin, MetaNumber("topk_margin"));
    SW_ASSIGN_OR_RETURN(case_.kink_margin, MetaNumber("kink_margin"));
    if (file_.metadata().contains("fd_rel_error")) {
      SW_ASSIGN_OR_RETURN(case_.fd_rel_error, MetaNumber("fd_rel_error"));
    }
    if (file_.metadata().contains("plain_double_deviation")) {
      case_.plain_double_deviation = Meta("plain_double_deviation");
    }
    return absl::OkStatus();
  }

  // <module>.<variant>.<number>, with ".f64" behind if that is the dtype.
  Status ReadName() {
    std::string_view name = case_.name;
    case_.dtype = name.ends_with(".f64") ? DType::kF64 : DType::kF32;
    if (case_.dtype == DType::kF64) name.remove_suffix(4);
    const size_t first = name.find('.'), last = name.rfind('.');
    const bool numbered = first != last && last + 1 < name.size() &&
                          name.find_first_not_of("0123456789", last + 1) == std::string_view::npos;
    if (!numbered) return Wrong("{} is no name of a case", Quoted(case_.name));
    case_.kind = name.substr(0, last);
    return absl::OkStatus();
  }

  Status ReadTensors() {
    const FileDType wide = case_.dtype == DType::kF64 ? FileDType::kF64 : FileDType::kF32;
    for (const FileTensor& tensor : file_.tensors()) {
      if (IsFloat(tensor.dtype) && tensor.dtype != wide) {
        return Wrong("{} is {} in a case of {}", Quoted(tensor.name), Name(tensor.dtype),
                     Name(wide));
      }
      SW_ASSIGN_OR_RETURN(std::vector<double> values, file_.ReadAsDouble(tensor.name));
      case_.tensors.emplace(tensor.name, GoldenTensor{.dims = tensor.dims,
                                                      .integer = !IsFloat(tensor.dtype),
                                                      .values = std::move(values)});
    }
    return absl::OkStatus();
  }

  Status CheckTensor(const std::string& name, const GoldenTensor& tensor) const {
    if (IsLeaf(name) || name.starts_with("out.")) return absl::OkStatus();
    std::string of;  // the tensor that this is the cotangent or gradient of
    if (name.starts_with("cot.")) {
      of = "out." + name.substr(4);
    } else if (name.starts_with("grad.") && IsLeaf(std::string_view(name).substr(5))) {
      of = name.substr(5);
    } else {
      return Wrong("a tensor {}, which is none of in, param, out, cot, grad", Quoted(name));
    }
    const GoldenTensor* target = case_.Find(of);
    if (target == nullptr) return Wrong("{} without {}", Quoted(name), Quoted(of));
    if (target->dims != tensor.dims) {
      return Wrong("{} and {} differ in shape", Quoted(name), Quoted(of));
    }
    if (target->integer || tensor.integer) return Wrong("{} of integers", Quoted(name));
    return absl::OkStatus();
  }

  Status CheckGradNone() const {
    for (const std::string& name : case_.grad_none) {
      const GoldenTensor* grad = case_.Find("grad." + name);
      if (grad == nullptr) return Wrong("grad_none names {}, which has no gradient", Quoted(name));
      if (std::any_of(grad->values.begin(), grad->values.end(), [](double v) { return v != 0; })) {
        return Wrong("grad_none names {}, whose gradient is not zero", Quoted(name));
      }
    }
    return absl::OkStatus();
  }

  const SafetensorsFile& file_;
  GoldenCase case_;
};

}  // namespace

const GoldenTensor* GoldenCase::Find(std::string_view tensor) const {
  const auto found = tensors.find(tensor);
  return found == tensors.end() ? nullptr : &found->second;
}

StatusOr<const JsonValue*> GoldenCase::Config(std::string_view key, JsonValue::Kind wanted) const {
  const JsonValue* at = &config;
  std::string_view rest = key;
  while (at != nullptr && !rest.empty()) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    at = at->Find(rest.substr(0, dot));
    rest.remove_prefix(std::min(dot + 1, rest.size()));
  }
  if (at == nullptr) return InvalidArgument("{}: the configuration has no '{}'", path, key);
  const bool widened = wanted == Kind::kNumber && at->Is(Kind::kInteger);
  if (!at->Is(wanted) && !widened) {
    return InvalidArgument("{}: '{}' of the configuration is no {}", path, key, Name(wanted));
  }
  return at;
}

StatusOr<int64_t> GoldenCase::Integer(std::string_view key) const {
  SW_ASSIGN_OR_RETURN(const JsonValue* value, Config(key, Kind::kInteger));
  return value->integer;
}

StatusOr<double> GoldenCase::Number(std::string_view key) const {
  SW_ASSIGN_OR_RETURN(const JsonValue* value, Config(key, Kind::kNumber));
  return value->number;
}

StatusOr<std::string> GoldenCase::Text(std::string_view key) const {
  SW_ASSIGN_OR_RETURN(const JsonValue* value, Config(key, Kind::kString));
  return value->text;
}

StatusOr<std::vector<std::string>> GoldenCase::Texts(std::string_view key) const {
  SW_ASSIGN_OR_RETURN(const JsonValue* value, Config(key, Kind::kList));
  std::vector<std::string> texts;
  for (const JsonValue& item : value->items) {
    if (!item.Is(Kind::kString)) {
      return InvalidArgument("{}: '{}' of the configuration is no list of strings", path, key);
    }
    texts.push_back(item.text);
  }
  return texts;
}

StatusOr<GoldenCase> ReadGoldenCase(const std::string& path) {
  SW_ASSIGN_OR_RETURN(const SafetensorsFile file, OpenSafetensors(path));
  return CaseReader(file).Read();
}

}  // namespace shardwise
