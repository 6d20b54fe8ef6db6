// The parameters of DeepSeek-V4 under the preset maxtext are MaxText's: names, shapes, logical
// axes.
#include "model/stacks/deepseek_v4_parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "kernels/base/check.h"
#include "model/stacks/train_step.h"
#include "sim/config/scenario.h"

namespace shardwise {
namespace {

struct Fact {
  std::string axes;  // as in the file
  std::string shape;
};
using Facts = std::map<std::string, Fact>;

// Of the model whose shapes stand in this column.
Facts ReadFacts(int shape_column) {
  std::ifstream file(std::string(SHARDWISE_SOURCE_DIR) + "/tests/data/deepseek4_parameters.tsv");
  Facts facts;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) continue;
    std::vector<std::string> fields;
    std::stringstream stream(line);
    for (std::string field; std::getline(stream, field, '\t');) fields.push_back(field);
    SW_CHECK(fields.size() == 4, "fields of '{}'", line);
    facts[fields[0]] = {fields[1], fields[shape_column]};
  }
  return facts;
}

ModelConfig Load(const std::string& model, const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"model_name=" + model, "compile_topology=v6e-16",
                                        "ici_fsdp_parallelism=16", "per_device_batch_size=1",
                                        "max_target_length=1024"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const StatusOr<Scenario> scenario = LoadScenario(arguments);
  SW_CHECK(scenario.ok(), "{}", Message(scenario.status()));
  return scenario->model;
}

const std::vector<std::string>& MaxText() {
  static const std::vector<std::string> arguments = {"sim.preset=maxtext", "attention=dot_product"};
  return arguments;
}

// MaxText's names for the dimensions, or "none": it knows none for some, where ours name nothing
// but the stack of layers.
std::string AxesText(const Parameter& parameter, const std::string& known) {
  std::vector<std::string> names;
  bool named = false;
  for (const std::string& name : parameter.logical_axes) {
    named = named || (!name.empty() && name != "scanned_blocks");
    names.push_back(name.empty() ? "-" : name);
  }
  return known == "none" && !named ? known : fmt::format("{}", fmt::join(names, ","));
}

std::string ShapeText(const Parameter& parameter) {
  return fmt::format("{}", fmt::join(parameter.type.dims, ","));
}

class V4Identity : public testing::TestWithParam<std::pair<const char*, int>> {};

TEST_P(V4Identity, ParametersAreMaxTexts) {
  const auto [model, column] = GetParam();
  const ModelConfig config = Load(model, MaxText());
  Facts facts = ReadFacts(column);
  ASSERT_EQ(facts.size(), 220u);
  for (const Parameter& p : V4Parameters(config)) {
    const auto fact = facts.find(p.name);
    ASSERT_NE(fact, facts.end()) << p.name << " is none of MaxText's";
    EXPECT_EQ(ShapeText(p), fact->second.shape) << p.name;
    EXPECT_EQ(AxesText(p, fact->second.axes), fact->second.axes) << p.name;
    EXPECT_EQ(p.type.dtype, DType::kF32) << p.name;
    facts.erase(fact);
  }
  // MaxText keeps the hash tables among its parameters, as floats.
  for (const Parameter& table : V4Tables(config)) {
    const auto fact = facts.find(table.name);
    ASSERT_NE(fact, facts.end()) << table.name;
    EXPECT_EQ(ShapeText(table), fact->second.shape) << table.name;
    facts.erase(fact);
  }
  EXPECT_TRUE(facts.empty()) << facts.begin()->first << " is missing";
}

// Every parameter has its moments, but the selection biases, which no gradient changes.
TEST_P(V4Identity, SelectionBiasesHaveNoMoments) {
  const TrainStep step = *BuildTrainStep(Load(GetParam().first, MaxText()));
  std::set<std::string> inputs;
  for (const BlockInput& input : step.program.entry().inputs) inputs.insert(input.name);
  int biases = 0;
  for (const Parameter& p : step.parameters) {
    const bool bias = p.name.ends_with("gate.bias");
    biases += bias ? 1 : 0;
    EXPECT_EQ(p.update == Update::kRoutedBias, bias) << p.name;
    EXPECT_EQ(inputs.count("mu." + p.name), bias ? 0u : 1u) << p.name;
    EXPECT_EQ(inputs.count("nu." + p.name), bias ? 0u : 1u) << p.name;
  }
  EXPECT_EQ(biases, 2);  // of the two layers of the scanned pair; hash layers have none
}

INSTANTIATE_TEST_SUITE_P(Models, V4Identity,
                         testing::Values(std::pair{"deepseek4-tiny", 2},
                                         std::pair{"deepseek4-284b", 3}),
                         [](const auto& model) { return model.index == 0 ? "Tiny" : "Flash"; });

// v4-spec 3.5: the published counts; hash tables are no parameters.
TEST(V4ParameterCount, StepsHoldThePublishedNumber) {
  const auto count = [](const std::string& model, const std::vector<std::string>& more) {
    return BuildTrainStep(Load(model, more))->parameter_count();
  };
  EXPECT_EQ(count("deepseek4-284b", {}), 284'332'240'471);
  EXPECT_EQ(count("deepseek4-1.6t", {}), 1'572'997'201'763);
  EXPECT_EQ(count("deepseek4-284b", MaxText()), 284'333'649'495);
}

}  // namespace
}  // namespace shardwise
