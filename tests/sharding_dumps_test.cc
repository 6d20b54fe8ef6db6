// The rules of logical axes, as MaxText's own sharding dumps have them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "model/stacks/deepseek_v4_parameters.h"
#include "model/stacks/train_step.h"
#include "reports/maxtext_dump.h"
#include "sim/config/scenario.h"
#include "sim/config/table_text.h"
#include "tests/sharding_facts.h"

namespace shardwise {
namespace {

const std::string kData = std::string(SHARDWISE_SOURCE_DIR) + "/tests/data/";

// What moe.py and attention_op.py know of a constraint that its dump calls "Unknown".
struct UnknownSite {
  Names names, taken_out;
};

std::optional<UnknownSite> FindUnknown(const SpecFact& fact, const Names& keys) {
  const std::string site = fact.place.substr(0, fact.place.find(": "));
  const std::string type = fact.place.substr(fact.place.find(": ") + 2);
  std::optional<UnknownSite> found;
  const std::string table = ReadText(kData + "maxtext_sites.tsv");
  ForEachRow<5>(table, [&](const std::array<std::string_view, 5>& row) {
    const bool holds =
        row[4].empty() ? !found : std::find(keys.begin(), keys.end(), row[4]) != keys.end();
    if (row[0] != site || !type.starts_with(row[1]) || !holds) return;
    found.emplace();
    for (std::string_view name : SplitFields(row[2], ',')) {
      found->names.emplace_back(name == "-" ? "" : name);
    }
    for (std::string_view axis : SplitFields(row[3], ',')) found->taken_out.emplace_back(axis);
  });
  return found;
}

// The scenario of a case; for a model nothing here builds, its mesh and rules with another model.
Scenario LoadCase(const DumpCase& c) {
  std::vector<std::string> arguments = {"compile_topology=" + c.topology,
                                        "compile_topology_num_slices=" + std::to_string(c.slices)};
  if (c.rule != "default") arguments.push_back("custom_mesh_and_rule=" + c.rule);
  const bool v4 = c.model.starts_with("deepseek4");
  if (v4) {
    for (const char* key : {"sim.preset=maxtext", "attention=dot_product",
                            "per_device_batch_size=1", "max_target_length=1024"}) {
      arguments.emplace_back(key);
    }
  }
  arguments.insert(arguments.end(), c.keys.begin(), c.keys.end());
  for (const std::string& model : {c.model, std::string("llama3.1-8b")}) {
    arguments.push_back("model_name=" + model);
    StatusOr<Scenario> scenario = LoadScenario(arguments);
    arguments.pop_back();
    if (scenario.ok()) return *std::move(scenario);
    SW_CHECK(scenario.status().code() == absl::StatusCode::kUnimplemented && !v4, "{}: {}", c.name,
             Message(scenario.status()));
  }
  SW_CHECK(false, "{}: no model stands in for {}", c.name, c.model);
}

void ExpectMesh(const MeshFact& fact, const Mesh& mesh) {
  ASSERT_EQ(mesh.axes.size(), fact.axes.size());
  for (size_t i = 0; i < fact.axes.size(); ++i) {
    const int index = fact.ordered ? static_cast<int>(i) : mesh.Find(fact.axes[i].name);
    ASSERT_GE(index, 0) << fact.axes[i].name;
    EXPECT_EQ(mesh.axes[index].name, fact.axes[i].name);
    EXPECT_EQ(mesh.axes[index].size, fact.axes[i].size) << fact.axes[i].name;
  }
}

PartitionSpec Taken(PartitionSpec spec, const Names& axes) {
  for (Names& dim : spec) {
    std::erase_if(dim, [&](const std::string& axis) {
      return std::find(axes.begin(), axes.end(), axis) != axes.end();
    });
  }
  return spec;
}

// What the rules make of the names of the fact. A parameter without names is replicated; whether
// its spec says so by None for each dimension or by nothing does not follow from its shape.
PartitionSpec Resolved(const DumpCase& c, const Scenario& scenario, const SpecFact& fact) {
  if (fact.shape && !fact.names) return PartitionSpec(fact.spec.size());
  if (fact.shape) {
    const int rank = static_cast<int>(fact.shape->size());
    const PartitionSpec spec = ResolveTensor(*fact.names, rank, scenario.rules).spec;
    return c.size_one_kept ? OnMesh(spec, scenario.mesh) : WithoutSizeOneAxes(spec, scenario.mesh);
  }
  UnknownSite known;
  if (fact.names) {
    known.names = *fact.names;
  } else {
    const std::optional<UnknownSite> unknown = FindUnknown(fact, c.keys);
    if (!unknown) {
      ADD_FAILURE() << fact.place << ": tests/data/maxtext_sites.tsv has no logical axes for it";
      return fact.spec;
    }
    known = *unknown;
  }
  const PartitionSpec spec = ResolveNames(known.names, scenario.rules).spec;
  return WithoutSizeOneAxes(Taken(spec, known.taken_out), scenario.mesh);
}

// Every spec of every case of the file. Returns how many.
int ExpectSpecs(const std::vector<DumpCase>& cases) {
  int specs = 0;
  for (const DumpCase& c : cases) {
    SCOPED_TRACE(c.name);
    const Scenario scenario = LoadCase(c);
    ExpectMesh(c.mesh, scenario.mesh);
    EXPECT_EQ(scenario.rules, c.rules.value_or(scenario.rules));
    for (const auto* facts : {&c.parameters, &c.activations}) {
      for (const SpecFact& fact : *facts) {
        EXPECT_EQ(SpecText(Resolved(c, scenario, fact)), SpecText(fact.spec)) << fact.place;
        ++specs;
      }
    }
  }
  return specs;
}

TEST(ShardingDumps, EverySpecFollowsFromItsNames) {
  EXPECT_EQ(ExpectSpecs(ReadDumps(kData + "maxtext_dumps.json")), 632);
  EXPECT_EQ(ExpectSpecs(ReadDumps(kData + "deepseek4.json")), 2 * 4 * (220 + 13));
}

// SHARDWISE_SHARDING names a folder with more files of either format.
TEST(ShardingDumps, EverySpecOfAFolder) {
  const char* folder = std::getenv("SHARDWISE_SHARDING");
  if (folder == nullptr) GTEST_SKIP() << "SHARDWISE_SHARDING names no folder";
  std::set<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".json") paths.insert(entry.path().string());
  }
  ASSERT_FALSE(paths.empty()) << folder;
  for (const std::string& path : paths) {
    SCOPED_TRACE(path);
    EXPECT_GT(ExpectSpecs(ReadDumps(path)), 0);
  }
}

std::string WithDots(std::string path) {
  std::replace(path.begin(), path.end(), '/', '.');
  return path;
}

// Our own step has MaxText's parameters with MaxText's specs.
TEST(BuiltShardings, ParametersOfDeepSeekV4) {
  for (const DumpCase& c : ReadDumps(kData + "deepseek4.json")) {
    SCOPED_TRACE(c.name);
    const Scenario scenario = LoadCase(c);
    std::vector<Parameter> ours = V4Parameters(scenario.model);
    for (Parameter& table : V4Tables(scenario.model)) ours.push_back(std::move(table));
    std::map<std::string, SpecFact> facts;
    for (const SpecFact& fact : c.parameters) facts[WithDots(fact.place)] = fact;
    EXPECT_EQ(ours.size(), facts.size());
    for (const Parameter& p : ours) {
      ASSERT_EQ(facts.count(p.name), 1u) << p.name;
      const SpecFact& fact = facts[p.name];
      EXPECT_EQ(p.type.dims, *fact.shape) << p.name;
      PartitionSpec spec = ResolveTensor(p.logical_axes, p.type.rank(), scenario.rules).spec;
      if (fact.names && !fact.names->empty()) {
        EXPECT_EQ(p.logical_axes, *fact.names) << p.name;
      } else {  // MaxText knows no names where ours name nothing but the stack
        for (const std::string& name : p.logical_axes) {
          EXPECT_TRUE(name.empty() || name == "scanned_blocks") << p.name << ": " << name;
        }
        spec.resize(fact.spec.size());
      }
      EXPECT_EQ(SpecText(WithoutSizeOneAxes(spec, scenario.mesh)), SpecText(fact.spec)) << p.name;
    }
  }
}

// And its constraints; those on values that nobody reads stand beside the program. All of it as
// `shardwise shard --format maxtext` writes it.
TEST(BuiltShardings, DumpsOfDeepSeekV4) {
  for (const DumpCase& c : ReadDumps(kData + "deepseek4.json")) {
    SCOPED_TRACE(c.name);
    const Scenario scenario = LoadCase(c);
    const StepSharding sharding = DescribeSharding(scenario, *BuildTrainStep(scenario.model));
    const auto files = BuildMaxTextDumps(scenario, sharding);
    const JsonValue input = *ParseJson(files[0].content);
    std::multiset<std::string> ours, facts;
    for (const JsonValue& entry : input.Find("Activation Sharding Dump")->items) {
      const JsonValue& site = entry.items[0];
      ours.insert(fmt::format("{} {} {}", entry.keys[0], site.Find("logic_axes")->text,
                              site.Find("PartitionSpec")->text));
    }
    for (const SpecFact& fact : c.activations) {
      facts.insert(fmt::format("{} {} {}", fact.place, fact.names_text, SpecText(fact.spec)));
    }
    EXPECT_EQ(ours, facts);

    const JsonValue logical = *ParseJson(files[1].content), named = *ParseJson(files[2].content);
    for (const SpecFact& fact : c.parameters) {
      std::string path = ".params/['params']";
      for (std::string_view part : SplitFields(fact.place, '/'))
        path += fmt::format("/['{}']", part);
      for (const JsonValue* file : {&logical, &named}) {
        ASSERT_NE(file->Find(path), nullptr) << path;
        EXPECT_EQ(ShapeOf(*file->Find(path)->Find("shape")), *fact.shape) << path;
      }
      if (!fact.names || fact.names->empty()) continue;
      EXPECT_EQ(LogicalOf(*logical.Find(path)->Find("partition_spec")), fact.names) << path;
      const PartitionSpec spec = SpecOf(*named.Find(path)->Find("partition_spec"));
      EXPECT_EQ(SpecText(WithoutSizeOneAxes(spec, scenario.mesh)), SpecText(fact.spec)) << path;
    }
  }
}

}  // namespace
}  // namespace shardwise
