// Why a number is what it is. Everything that a report prints, and every parameter, kernel and key
// behind it, is an entry of one list: with its values, formulas over other values, where the inputs
// come from, and what would change it. Nothing is listed for one scenario alone.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/status.h"
#include "reports/report.h"
#include "reports/table.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {

struct ExplainedValue {
  std::string id;  // unique within its entry: "busy_s"
  Unit unit = Unit::kNumber;
  Cell value;
  std::string meaning;
  // Arithmetic over values, whose names stand in braces: "{bytes} / {busy_s}". A name is the id of
  // a value of the same entry or else the name of a number. Empty: the value is given or counted.
  std::string formula;
  std::string source;  // where it comes from, if not from the formula
};

struct Explanation {
  std::string name;
  std::string kind;  // "number", "key", "parameter", "collective", "kernel", ...
  std::string meaning;
  std::vector<ExplainedValue> values;  // what was asked for first
  std::vector<ExplainedValue> inputs;  // that formulas of `values` name; ids are names of numbers
  std::vector<std::string> rules;      // that applied
  std::vector<std::string> changes;    // what would change it
};

class Explainer {
 public:
  // `report` with details (AddDetails).
  Explainer(const Evaluation& evaluation, const Report& report);

  // By name ("mfu", "all_gather fsdp", "remat_policy", a parameter's path) or by place in the JSON
  // report ("hbm.peak_bytes", "collectives[0].busy_s"): all entries of that name. InvalidArgument
  // with a suggestion if there is none.
  StatusOr<std::vector<Explanation>> Explain(std::string_view name) const;

  // Every entry: kind and name, in order of kind.
  std::vector<std::pair<std::string, std::string>> Names() const;

 private:
  const ExplainedValue* FindNumber(std::string_view name) const;
  void AddInputs(Explanation& entry);

  std::vector<Explanation> entries_;
  std::map<std::string, std::vector<size_t>, std::less<>> by_name_;
};

// A number as formulas use it: times in the unit of the value, seconds or picoseconds. 0 for text.
double NumberOf(const ExplainedValue& value);
// Names in the braces of a formula, each once, in order.
std::vector<std::string> NamesIn(std::string_view formula);

// "mfu (number): ..." with formulas filled in.
std::string RenderText(const std::vector<Explanation>& explanations);

}  // namespace shardwise
