// The full text of every kind of message a wrong configuration gets.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <filesystem>
#include <fstream>

#include "kernels/base/test_folder.h"
#include "sim/config/keys.h"
#include "sim/config/scenario.h"

namespace shardwise {
namespace {

const TestFolder& Folder() {
  static const TestFolder folder;
  return folder;
}

// Message and code; the folder of temporary files is cut out of the text.
std::pair<std::string, absl::StatusCode> Refusal(const std::vector<std::string>& arguments) {
  const StatusOr<Scenario> loaded = LoadScenario(arguments);
  if (loaded.ok()) return {"ok", absl::StatusCode::kOk};
  std::string text = Message(loaded.status());
  const std::string folder = Folder().File("");
  for (size_t at; (at = text.find(folder)) != std::string::npos;) text.erase(at, folder.size());
  return {text, loaded.status().code()};
}

std::string TextOf(const std::vector<std::string>& arguments) { return Refusal(arguments).first; }

std::string FileText(const std::string& text) {
  const std::string path = Folder().File("f.yml");
  std::ofstream(path, std::ios::binary) << text;
  return TextOf({path});
}

struct Case {
  std::vector<std::string> arguments;  // after IW-07
  std::string_view text;
};

TEST(BadInputs, CommandLine) {
  const std::vector<Case> cases = {
      {{"ici_fdsp_parallelism=-1"},
       "<command line>: argument 2: error: unknown key 'ici_fdsp_parallelism'\n"
       "    ici_fdsp_parallelism=-1\n"
       "    ^~~~~~~~~~~~~~~~~~~~ did you mean 'ici_fsdp_parallelism'?"},
      {{"ici_tensor_parallelism=2"},
       "<command line>: argument 2: error: the ici axes multiply to 256 (ici_fsdp_parallelism 128 "
       "x ici_tensor_parallelism 2), not to the 128 devices of a tpu7x-128 slice\n"
       "    ici_tensor_parallelism=2\n"
       "                           ^\n"
       "configs/scenarios/IW-07.yml:20:25: note: ici_fsdp_parallelism is 128 here\n"
       "help: ici_fsdp_parallelism=64 or ici_tensor_parallelism=1 would fit"},
      {{"ici_fsdp_parallelism=-1", "ici_tensor_parallelism=-1"},
       "<command line>: argument 3: error: ici_tensor_parallelism is -1, but only one axis can "
       "take what is left\n"
       "    ici_tensor_parallelism=-1\n"
       "                           ^~\n"
       "<command line>: argument 2: note: ici_fsdp_parallelism is -1 too"},
      {{"ici_fsdp_parallelism=-1", "ici_tensor_parallelism=3"},
       "<command line>: argument 3: error: the other ici axes multiply to 3 "
       "(ici_tensor_parallelism 3), which does not divide the 128 devices of a tpu7x-128 slice\n"
       "    ici_tensor_parallelism=3\n"
       "                           ^"},
      {{"dcn_fsdp_parallelism=2"},
       "<command line>: argument 2: error: the other dcn axes multiply to 2 (dcn_fsdp_parallelism "
       "2), which does not divide 1 slice\n"
       "    dcn_fsdp_parallelism=2\n"
       "                         ^"},
      {{"compile_topology=tpu7x-100"},
       "<command line>: argument 2: error: no topology is called 'tpu7x-100'\n"
       "    compile_topology=tpu7x-100\n"
       "                     ^~~~~~~~~\n"
       "help: nearest sizes: tpu7x-128 tpu7x-64 tpu7x-32 tpu7x-16"},
      {{"per_device_batch_size=0.3"},
       "<command line>: argument 2: error: 0.3 sequences on each of 128 devices are 38.4, not a "
       "whole number\n"
       "    per_device_batch_size=0.3\n"
       "                          ^~~\n"
       "help: use a multiple of 1/128"},
      {{"per_device_batch_size=0.5"},
       "<command line>: argument 2: error: the 64 sequences of a microbatch do not divide over the "
       "128 shards of activation_batch (fsdp: 128)\n"
       "    per_device_batch_size=0.5\n"
       "                          ^~~"},
      {{"base_num_decoder_layers=8"},
       "<command line>: argument 2: error: base_num_decoder_layers is set by the model file to "
       "another value\n"
       "    base_num_decoder_layers=8\n"
       "                            ^\n"
       "configs/models/llama3.1-70b.yml:6:26: note: base_num_decoder_layers is 80 here\n"
       "help: override_model_config=true lets this value win"},
      {{"dtype=bfloat17", "steps=2.5", "scan_layers="},
       "<command line>: argument 2: error: 'bfloat17' is not a value of dtype\n"
       "    dtype=bfloat17\n"
       "          ^~~~~~~~ did you mean 'bfloat16'?\n"
       "<command line>: argument 3: error: steps expects an int, not '2.5'\n"
       "    steps=2.5\n"
       "          ^~~\n"
       "<command line>: argument 4: error: scan_layers expects true or false, not ''\n"
       "    scan_layers=\n"
       "                ^"},
      {{"sim.policy=idle"},
       "<command line>: argument 2: error: 'idle' is not a value of sim.policy\n"
       "    sim.policy=idle\n"
       "               ^~~~\n"
       "help: legal values: program-order latency-hiding ideal"},
      {{"remat_policy=minimum_with_context"},
       "<command line>: argument 2: error: 'minimum_with_context' is not a value of remat_policy\n"
       "    remat_policy=minimum_with_context\n"
       "                 ^~~~~~~~~~~~~~~~~~~~ did you mean 'minimal_with_context'?"},
      {{"logical_axis_rules=[[norm, fsdpp]]"},
       "<command line>: argument 2: error: 'fsdpp' is not a mesh axis\n"
       "    logical_axis_rules=[[norm, fsdpp]]\n"
       "                               ^~~~~ did you mean 'fsdp'?"},
      {{"mesh_axes=[data, tensr, fsdp, fsdp]"},
       "<command line>: argument 2: error: 'tensr' is not a mesh axis\n"
       "    mesh_axes=[data, tensr, fsdp, fsdp]\n"
       "                     ^~~~~ did you mean 'tensor'?\n"
       "<command line>: argument 2: error: mesh axis fsdp is listed twice\n"
       "    mesh_axes=[data, tensr, fsdp, fsdp]\n"
       "                                  ^~~~"},
      {{"num_vocab_tiling=3"},
       "<command line>: argument 2: error: num_vocab_tiling 3 does not divide max_target_length "
       "8192\n"
       "    num_vocab_tiling=3\n"
       "                     ^"},
      {{"compile_xla_flags=--a=1 b --a=2"},
       "<command line>: argument 2: error: 'b' is not --name=value\n"
       "    compile_xla_flags=--a=1 b --a=2\n"
       "                            ^\n"
       "<command line>: argument 2: error: --a is given twice\n"
       "    compile_xla_flags=--a=1 b --a=2\n"
       "                              ^~~~~"},
      {{"--xla_tpu_scoped_vmem_limit_kib=64M --xla_enable_async_all_gather=maybe x"},
       "<command line>: argument 2: error: 'x' is not --name=value\n"
       "    --xla_tpu_scoped_vmem_limit_kib=64M --xla_enable_async_all_gather=maybe x\n"
       "                                                                            ^"},
      {{"--xla_tpu_scoped_vmem_limit_kib=64M --xla_enable_async_all_gather=maybe"},
       "<command line>: argument 2: error: --xla_tpu_scoped_vmem_limit_kib expects a whole number, "
       "not '64M'\n"
       "    --xla_tpu_scoped_vmem_limit_kib=64M --xla_enable_async_all_gather=maybe\n"
       "    ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\n"
       "<command line>: argument 2: error: --xla_enable_async_all_gather expects true or false, "
       "not 'maybe'\n"
       "    --xla_tpu_scoped_vmem_limit_kib=64M --xla_enable_async_all_gather=maybe\n"
       "                                        ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~"},
      {{"run_name=[a"},
       "<command line>: argument 2: error: '[' is not closed\n"
       "    run_name=[a\n"
       "             ^"},
  };
  for (const Case& test : cases) {
    std::vector<std::string> arguments = {"IW-07"};
    arguments.insert(arguments.end(), test.arguments.begin(), test.arguments.end());
    const auto [text, code] = Refusal(arguments);
    EXPECT_EQ(text, test.text);
    EXPECT_EQ(code, absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(BadInputs, LegalButNotBuilt) {
  const std::vector<Case> cases = {
      {{"model_name=mistral-7b"},
       "<command line>: argument 2: error: model 'mistral-7b' is not built here\n"
       "    model_name=mistral-7b\n"
       "               ^~~~~~~~~~\n"
       "help: models: deepseek4-1.6t deepseek4-284b deepseek4-mini deepseek4-tiny llama-mini "
       "llama2-13b llama2-70b llama2-7b llama3-405b llama3-70b llama3-8b llama3.1-405b "
       "llama3.1-70b llama3.1-8b llama3.3-70b"},
      {{"quantization=int8"},
       "<command line>: argument 2: error: quantization: int8 is not built here\n"
       "    quantization=int8\n"
       "                 ^~~~\n"
       "help: built here: fp8_full"},
      {{"num_experts=8"},
       "<command line>: argument 2: error: num_experts: 8 asks for something that is not built "
       "here\n"
       "    num_experts=8\n"
       "                ^"},
      {{"ici_fsdp_parallelism=64", "ici_pipeline_parallelism=2"},
       "<command line>: argument 3: error: mesh axis stage of size 2 is not built here; it must "
       "be 1\n"
       "    ici_pipeline_parallelism=2\n"
       "                             ^"},
      {{"custom_mesh_and_rule=2d-fsdp"},
       "<command line>: argument 2: error: custom_mesh_and_rule 2d-fsdp is not built here\n"
       "    custom_mesh_and_rule=2d-fsdp\n"
       "                         ^~~~~~~"},
  };
  for (const Case& test : cases) {
    std::vector<std::string> arguments = {"IW-07"};
    arguments.insert(arguments.end(), test.arguments.begin(), test.arguments.end());
    const auto [text, code] = Refusal(arguments);
    EXPECT_EQ(text, test.text);
    EXPECT_EQ(code, absl::StatusCode::kUnimplemented) << text;
  }
}

TEST(BadInputs, Files) {
  EXPECT_EQ(
      FileText("steps: 150_001\nremat_polcy: full\nattention_type: globl\nscan_layers: maybe\n"),
      "f.yml:2:1: error: unknown key 'remat_polcy'\n"
      "    2 | remat_polcy: full\n"
      "      | ^~~~~~~~~~~ did you mean 'remat_policy'?\n"
      "f.yml:3:17: error: 'globl' is not a value of attention_type\n"
      "    3 | attention_type: globl\n"
      "      |                 ^~~~~ did you mean 'global'?\n"
      "f.yml:4:14: error: scan_layers expects true or false, not 'maybe'\n"
      "    4 | scan_layers: maybe\n"
      "      |              ^~~~~");
  EXPECT_EQ(FileText("maxtext: {steps: 5}\nsimm: {}\nmodel_name: x\nxla_flags: [foo]\n"
                     "sim: {polcy: ideal}\nmeasured: {step_time_s: fast}\n"),
            "f.yml:2:1: error: unknown key 'simm' in a scenario file\n"
            "    2 | simm: {}\n"
            "      | ^~~~ did you mean 'sim'?\n"
            "f.yml:3:1: error: unknown key 'model_name' in a scenario file\n"
            "    3 | model_name: x\n"
            "      | ^~~~~~~~~~\n"
            "help: MaxText keys of a scenario file stand under maxtext:\n"
            "f.yml:4:13: error: 'foo' is not --name=value\n"
            "    4 | xla_flags: [foo]\n"
            "      |             ^~~\n"
            "f.yml:5:7: error: unknown key 'sim.polcy'\n"
            "    5 | sim: {polcy: ideal}\n"
            "      |       ^~~~~ did you mean 'sim.policy'?\n"
            "f.yml:6:25: error: measured.step_time_s expects a positive number\n"
            "    6 | measured: {step_time_s: fast}\n"
            "      |                         ^~~~");
  EXPECT_EQ(FileText("- a\n- b\n"),
            "f.yml:1:1: error: expected 'key: value' lines\n"
            "    1 | - a\n"
            "      | ^");
  EXPECT_EQ(FileText("base_config: f.yml\n"),
            "f.yml:1:14: error: base_config leads back to 'f.yml'\n"
            "    1 | base_config: f.yml\n"
            "      |              ^~~~~");
  EXPECT_EQ(FileText(""),
            "configuration: error: compile_topology names no machine\n"
            "help: set it to a slice, for example compile_topology=tpu7x-128");
}

TEST(BadInputs, UnreadableFiles) {
  EXPECT_EQ(TextOf({"IW-70"}),
            "<command line>: argument 1: error: no file and no built-in scenario is called "
            "'IW-70'\n"
            "    IW-70\n"
            "    ^~~~~ did you mean 'IW-07'?");
  EXPECT_EQ(Refusal({"no/such/file.yml"}).second, absl::StatusCode::kUnavailable);
  EXPECT_EQ(Refusal({Folder().path()}).second, absl::StatusCode::kUnavailable);
  EXPECT_EQ(FileText("base_config: gone.yml\n"),
            "f.yml:1:14: error: cannot find 'gone.yml'\n"
            "    1 | base_config: gone.yml\n"
            "      |              ^~~~~~~~");
  EXPECT_EQ(FileText(std::string("\x7f"
                                 "ELF\0\0",
                                 6))
                .substr(0, 47),
            "f.yml:1:1: error: not a text file: byte 0x7f\n  ");
}

TEST(BadInputs, ErrorsOfOnePassComeTogether) {
  std::vector<std::string> arguments = {"IW-07"};
  for (int i = 0; i < 30; ++i) arguments.push_back(fmt::format("no_such_key_{}=1", i));
  const std::string text = TextOf(arguments);
  EXPECT_TRUE(text.ends_with("\nand 10 more")) << text;
}

// Whatever a key is set to, loading ends with a scenario or a message, and never aborts.
TEST(BadInputs, AnyValueOfAnyKeyEnds) {
  const std::vector<std::string> values = {"-1",
                                           "0",
                                           "1",
                                           "2",
                                           "3",
                                           "1000000007",
                                           "9223372036854775807",
                                           "-9223372036854775808",
                                           "1e300",
                                           "0.125",
                                           "nan",
                                           "inf",
                                           "none",
                                           "true",
                                           "",
                                           "abc",
                                           "[]",
                                           "[[]]",
                                           "[[a, b]]",
                                           "{}",
                                           "{a: 1}",
                                           "[data, fsdp]",
                                           "custom",
                                           "offload",
                                           "fixed,-1,1",
                                           "--x=1"};
  EXPECT_TRUE(rc::check([&] {
    std::vector<std::string> arguments = {"IW-08"};
    const int edits = *rc::gen::inRange(1, 4);
    for (int i = 0; i < edits; ++i) {
      const auto key = *rc::gen::inRange<size_t>(0, AllKeys().size());
      const KeySpec& spec = AllKeys()[key];
      const bool choice = !spec.Choices().empty() && *rc::gen::arbitrary<bool>();
      const std::string value =
          choice ? std::string(*rc::gen::elementOf(spec.Choices())) : *rc::gen::elementOf(values);
      arguments.push_back(fmt::format("{}={}", spec.name, value));
    }
    const StatusOr<Scenario> loaded = LoadScenario(arguments);
    RC_ASSERT(loaded.ok() || !Message(loaded.status()).empty());
    if (loaded.ok()) RC_ASSERT(loaded->mesh.devices() > 0);
  }));
}

}  // namespace
}  // namespace shardwise
