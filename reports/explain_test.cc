#include "reports/explain.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "reports/render_json.h"
#include "reports/report_builder.h"
#include "reports/test_util.h"

namespace shardwise {
namespace {

using Json = nlohmann::json;

// Arithmetic as a person would check it: + - * / and parentheses over numbers and {names}.
class Calculator {
 public:
  Calculator(std::string_view text, const Explanation& entry) : text_(text), entry_(entry) {}

  double Run() {
    const double value = Sum();
    EXPECT_TRUE(text_.empty()) << text_;
    return value;
  }

 private:
  bool Take(char c) {
    while (text_.starts_with(' ')) text_.remove_prefix(1);
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  double Sum() {
    double value = Product();
    while (true) {
      if (Take('+')) {
        value += Product();
      } else if (Take('-')) {
        value -= Product();
      } else {
        return value;
      }
    }
  }
  double Product() {
    double value = Factor();
    while (true) {
      if (Take('*')) {
        value *= Factor();
      } else if (Take('/')) {
        value /= Factor();
      } else {
        return value;
      }
    }
  }
  double Factor() {
    if (Take('(')) {
      const double value = Sum();
      EXPECT_TRUE(Take(')'));
      return value;
    }
    if (Take('{')) {
      const size_t close = text_.find('}');
      const std::string_view name = text_.substr(0, close);
      text_.remove_prefix(close + 1);
      for (const auto* list : {&entry_.values, &entry_.inputs}) {
        for (const ExplainedValue& value : *list) {
          if (value.id == name) return NumberOf(value);
        }
      }
      ADD_FAILURE() << "no input " << name << " of " << entry_.name;
      return NAN;
    }
    size_t used = 0;
    const double value = std::stod(std::string(text_.substr(0, 20)), &used);
    text_.remove_prefix(used);
    return value;
  }

  std::string_view text_;
  const Explanation& entry_;
};

void ExpectFormulasHold(const Explanation& entry) {
  for (const ExplainedValue& value : entry.values) {
    if (value.formula.empty()) continue;
    const double computed = Calculator(value.formula, entry).Run();
    const double printed = NumberOf(value);
    // What is 0 of 0, the report calls 0.
    if (!std::isfinite(computed) && printed == 0) continue;
    // Times are whole picoseconds.
    const bool seconds = std::holds_alternative<Duration>(value.value);
    EXPECT_NEAR(computed, printed, 1e-9 * std::fabs(printed) + (seconds ? 2e-12 : 0))
        << value.id << " of " << entry.name << " = " << value.formula;
  }
}

// Every numeric leaf of a JSON report with its place, as people write it.
void AddLeaves(const Json& value, const std::string& place,
               std::vector<std::pair<std::string, double>>& leaves) {
  if (value.is_number()) leaves.emplace_back(place, value.get<double>());
  if (value.is_object()) {
    for (const auto& [key, child] : value.items()) {
      AddLeaves(child, place.empty() ? key : place + "." + key, leaves);
    }
  }
  for (size_t i = 0; value.is_array() && i < value.size(); ++i) {
    AddLeaves(value[i], fmt::format("{}[{}]", place, i), leaves);
  }
}

class ExplainTest : public testing::TestWithParam<std::vector<std::string>> {
 protected:
  void SetUp() override {
    evaluation_ = EvaluateOrFail(GetParam());
    ASSERT_NE(evaluation_, nullptr);
    report_ = BuildReport(*evaluation_);
    AddDetails(*evaluation_, report_);
    const StatusOr<Suggestions> suggestions = Suggest(GetParam(), {}, *evaluation_);
    ASSERT_TRUE(suggestions.ok());
    AddSuggestions(*suggestions, report_);
    explainer_ = std::make_unique<Explainer>(*evaluation_, report_);
  }

  std::unique_ptr<Evaluation> evaluation_;
  Report report_;
  std::unique_ptr<Explainer> explainer_;
};

// Whatever number is printed can be asked about, is the number that was printed, and follows from
// what is said to make it.
TEST_P(ExplainTest, EveryPrintedNumber) {
  std::vector<std::pair<std::string, double>> leaves;
  AddLeaves(Json::parse(RenderJson(report_)), "", leaves);
  ASSERT_GT(leaves.size(), 1000u);
  for (const auto& [place, printed] : leaves) {
    const StatusOr<std::vector<Explanation>> found = explainer_->Explain(place);
    ASSERT_TRUE(found.ok()) << place << ": " << Message(found.status());
    const ExplainedValue& value = found->front().values.front();
    EXPECT_NEAR(NumberOf(value), printed, 1e-15 * std::fabs(printed)) << place << " " << value.id;
    EXPECT_TRUE(!value.meaning.empty() || !found->front().meaning.empty() ||
                found->front().kind == "key")
        << place;
  }
}

TEST_P(ExplainTest, FormulasHoldAndInputsHaveASource) {
  for (const auto& [kind, name] : explainer_->Names()) {
    const StatusOr<std::vector<Explanation>> found = explainer_->Explain(name);
    ASSERT_TRUE(found.ok()) << name << ": " << Message(found.status());
    for (const Explanation& entry : *found) {
      ExpectFormulasHold(entry);
      for (const ExplainedValue& input : entry.inputs) {
        EXPECT_FALSE(input.source.empty()) << input.id << " of " << entry.name;
      }
    }
    EXPECT_FALSE(RenderText(*found).empty());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Steps, ExplainTest,
    testing::Values(MiniArguments(),
                    MiniArguments({"ici_fsdp_parallelism=2", "ici_tensor_parallelism=2",
                                   "sim.policy=ideal", "remat_policy=minimal"}),
                    MiniArguments({"compile_topology_num_slices=2"}),
                    std::vector<std::string>{"IW-07"}, std::vector<std::string>{"T-12"},
                    std::vector<std::string>{"model_name=deepseek4-mini",
                                             "compile_topology=tpu7x-16",
                                             "ici_expert_parallelism=4", "ici_fsdp_parallelism=-1",
                                             "per_device_batch_size=1", "max_target_length=256"}));

TEST(Explain, WhatUsersAskFor) {
  const auto evaluation = EvaluateOrFail({"IW-07", "per_device_batch_size=4"});
  Report report = BuildReport(*evaluation);
  AddDetails(*evaluation, report);
  const Explainer explainer(*evaluation, report);
  const auto text = [&](std::string_view name) {
    const auto found = explainer.Explain(name);
    EXPECT_TRUE(found.ok()) << Message(found.status());
    return found.ok() ? RenderText(*found) : "";
  };
  EXPECT_NE(text("mfu").find("tflops_per_chip / topology.peak_bf16_tflops_per_chip"),
            std::string::npos);
  EXPECT_NE(text("per_device_batch_size").find("argument 2"), std::string::npos);
  EXPECT_NE(text("remat_policy").find("configs/scenarios/IW-07.yml:22"), std::string::npos);
  EXPECT_NE(text("sim.policy").find("legal values: program-order"), std::string::npos);
  EXPECT_NE(text("all_gather fsdp").find("layers_fwd"), std::string::npos);
  EXPECT_NE(text("decoder.layers.mlp.wi_0.kernel").find("embed (8192): rule [fsdp"),
            std::string::npos);
  EXPECT_NE(text("memory.hbm_bytes_per_s_per_device").find("published"), std::string::npos);
  for (const char* name :
       {"step_time", "tokens/s", "hbm.peak", "rematerialisation", "matmul bwd", "mxu", "fsdp"}) {
    EXPECT_FALSE(text(name).empty()) << name;
  }
  EXPECT_NE(Message(explainer.Explain("mfuu").status()).find("did you mean"), std::string::npos);
  EXPECT_FALSE(explainer.Explain("").ok());
  EXPECT_FALSE(explainer.Explain("collectives[99].busy_s").ok());
  EXPECT_FALSE(explainer.Explain("collectives[0].no_column").ok());
}

// The rule that applied and where it stands; one line per dimension, behind that of the spec.
TEST(Explain, ParametersNameTheirRules) {
  const auto evaluation = EvaluateOrFail(MiniArguments(
      {"ici_fsdp_parallelism=1", "ici_tensor_parallelism=4", "override_model_config=true",
       "base_mlp_dim=98", "override_logical_axis_rules=true",
       "logical_axis_rules=[[mlp, tensor], [embed, tensor], [embed, fsdp], [norm, []]]"}));
  ASSERT_NE(evaluation, nullptr);
  const Explainer explainer(*evaluation, BuildReport(*evaluation));
  const auto rules = [&](std::string_view name) {
    const auto found = explainer.Explain(name);
    EXPECT_TRUE(found.ok()) << Message(found.status());
    return std::vector<std::string>(found->front().rules.begin() + 1, found->front().rules.end());
  };
  EXPECT_EQ(
      rules("decoder.layers.mlp.wi_0.kernel"),
      (std::vector<std::string>{
          "embed (32): rule [fsdp] of argument 11; not split",
          "layers (3): no rule applies; not split",
          "mlp (98): rule [tensor] of argument 11; not split; tensor (4) does not divide it"}));
  EXPECT_EQ(rules("decoder.decoder_norm.scale"),
            (std::vector<std::string>{"norm (32): rule [] of argument 11; not split"}));
  const auto built_in = EvaluateOrFail({"IW-07"});
  const StatusOr<std::vector<Explanation>> kernel =
      Explainer(*built_in, BuildReport(*built_in)).Explain("decoder.layers.mlp.wi_0.kernel");
  ASSERT_TRUE(kernel.ok());
  EXPECT_NE(kernel->front().rules[1].find("] of configs/maxtext/logical_axis_rules.tsv:"),
            std::string::npos)
      << kernel->front().rules[1];
}

}  // namespace
}  // namespace shardwise
