#include "sim/search/sweep.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "kernels/base/test_folder.h"
#include "sim/search/merge_stores.h"
#include "sim/search/store_lock.h"
#include "sim/search/sweep_meta.h"

namespace shardwise {
namespace {

namespace fs = std::filesystem;

std::string Bytes(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

class SweepTest : public testing::Test, protected TestFolder {
 protected:
  // A step small enough for any test, on 4 chips; 3 of 12 points have a wrong mesh, some do not
  // pass the constraint.
  static const SweepPlan& Plan() {
    static const SweepPlan plan = [] {
      SweepRequest request;
      request.sets = {"ici_fsdp_parallelism=4,2,8", "per_device_batch_size=1,2",
                      "remat_policy=full,minimal"};
      request.where = {"gbs < 8 or remat_policy == 'full'", "hbm_used < hbm_usable"};
      StatusOr<SweepPlan> read = ReadSweepPlan(
          {"model_name=llama-mini", "compile_topology=v5p-8", "max_target_length=256"}, {},
          request);
      EXPECT_TRUE(read.ok()) << read.status();
      return *std::move(read);
    }();
    return plan;
  }

  StatusOr<SweepEnd> Run(const std::string& name, int threads = 1, Shard shard = {},
                         SweepJob::Existing existing = SweepJob::Existing::kRefuse,
                         const std::string& version = "1") {
    SweepJob job;
    job.plan = &Plan();
    job.shard = shard;
    job.store = File(name);
    job.existing = existing;
    job.stamp = {{"tool_version", version}};
    job.threads = threads_;
    job.threads.threads = threads;
    return RunSweep(job);
  }

  std::vector<PointRecord> Points(const std::string& name) {
    std::vector<PointRecord> points;
    StatusOr<StoreReader> reader = StoreReader::Open(File(name));
    EXPECT_TRUE(reader.ok()) << reader.status();
    while (reader.ok()) {
      const auto record = reader->Next();
      EXPECT_TRUE(record.ok()) << record.status();
      if (!record.ok() || !record->has_value()) break;
      points.push_back(**record);
    }
    return points;
  }

  SweepThreads threads_;
};

TEST_F(SweepTest, EveryPointIsKeptWithItsOutcome) {
  const auto end = Run("s.sqlite");
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_TRUE(end->finished);
  EXPECT_EQ(Entries(), 1u);  // the store, and nothing that helped to make it
  const std::vector<PointRecord> points = Points("s.sqlite");
  ASSERT_EQ(points.size(), 12u);
  for (const PointRecord& point : points) {
    const bool right_mesh = point.values[0] == "4";
    const bool filtered = point.values[1] == "2" && point.values[2] == "minimal";
    const Outcome expected = !right_mesh ? Outcome::kIllegal
                             : filtered  ? Outcome::kFiltered
                                         : Outcome::kOk;
    EXPECT_EQ(point.outcome, expected) << point.index << " " << point.message;
    EXPECT_EQ(point.message.empty(), expected == Outcome::kOk);
    EXPECT_EQ(point.message.find("error:"), std::string::npos) << point.message;
    if (expected != Outcome::kOk) continue;
    ASSERT_TRUE(point.metrics.has_value());
    EXPECT_EQ(point.metrics->chips, 4);
    EXPECT_EQ(point.metrics->global_batch_size, point.values[1] == "1" ? 4 : 8);
    // Tokens per second and chip times seconds and chips are the tokens of a step.
    EXPECT_NEAR(point.metrics->tokens_per_s_per_chip * 4 * point.metrics->step_time_s,
                static_cast<double>(point.metrics->global_batch_size * 256), 1e-6);
  }
  EXPECT_EQ(end->progress.counts[Outcome::kOk], 3);
  EXPECT_EQ(end->progress.counts[Outcome::kIllegal], 8);
  ASSERT_TRUE(end->progress.best.has_value());
}

// What a point says is what simulating it alone says.
TEST_F(SweepTest, PointsAreThoseOfSingleRuns) {
  ASSERT_TRUE(Run("s.sqlite", 2).ok());
  for (const PointRecord& point : Points("s.sqlite")) {
    if (point.outcome != Outcome::kOk) continue;
    std::vector<std::string> arguments = Plan().arguments;
    const std::vector<std::string> keys = Plan().spec.Keys();
    for (size_t k = 0; k < keys.size(); ++k) arguments.push_back(keys[k] + "=" + *point.values[k]);
    const auto evaluation = Evaluate(*LoadScenario(arguments));
    ASSERT_TRUE(evaluation.ok());
    EXPECT_EQ(point.metrics->step_time_s, (*evaluation)->result.step_time.seconds());
    EXPECT_EQ(point.metrics->hbm_peak_bytes, (*evaluation)->memory.peak_bytes);
    EXPECT_EQ(point.metrics->mfu, (*evaluation)->metrics.mfu);
  }
}

TEST_F(SweepTest, SameBytesForAnyNumberOfThreads) {
  ASSERT_TRUE(Run("one.sqlite", 1).ok());
  ASSERT_TRUE(Run("four.sqlite", 4).ok());
  EXPECT_TRUE(Bytes(File("one.sqlite")) == Bytes(File("four.sqlite")));
}

TEST_F(SweepTest, ShardsMergeToTheWhole) {
  ASSERT_TRUE(Run("whole.sqlite").ok());
  for (const int64_t shards : {1, 3, 5, 20}) {
    std::vector<std::string> parts;
    for (int64_t i = 0; i < shards; ++i) {
      const std::string name = fmt::format("{}-{}.sqlite", shards, i);
      ASSERT_TRUE(Run(name, 1, {i, shards}).ok());
      parts.push_back(File(name));
    }
    std::reverse(parts.begin(), parts.end());
    const std::string merged = File(fmt::format("merged{}.sqlite", shards));
    const Status status = MergeStores(parts, merged, false);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_TRUE(Bytes(File("whole.sqlite")) == Bytes(merged)) << shards;
    EXPECT_FALSE(MergeStores(parts, merged, false).ok());
    EXPECT_TRUE(MergeStores(parts, merged, true).ok());
  }
}

TEST_F(SweepTest, MergeNamesWhatIsWrong) {
  for (int64_t i = 0; i < 4; ++i) ASSERT_TRUE(Run(fmt::format("{}.sqlite", i), 1, {i, 4}).ok());
  ASSERT_TRUE(Run("other.sqlite", 1, {1, 4}, SweepJob::Existing::kRefuse, "2").ok());
  ASSERT_TRUE(Run("half.sqlite", 1, {0, 2}).ok());
  const auto says = [&](const std::vector<std::string>& names, const std::string& what) {
    std::vector<std::string> inputs;
    for (const std::string& name : names) inputs.push_back(File(name));
    const std::string message = Message(MergeStores(inputs, File("m.sqlite"), false));
    EXPECT_NE(message.find(what), std::string::npos) << message;
    EXPECT_FALSE(fs::exists(File("m.sqlite")));
  };
  says({"0.sqlite", "3.sqlite"}, "2 of 4 shards are missing: 1 to 2");
  says({"0.sqlite", "1.sqlite", "1.sqlite"}, "is shard 1/4, and so is");
  says({"0.sqlite", "other.sqlite"}, "another version of this program");
  says({"0.sqlite", "half.sqlite"}, "is shard 0/2, but");
  says({"no.sqlite"}, "no such file");
}

// Stopped after every number of points, then resumed: the same bytes.
TEST_F(SweepTest, ResumingGivesTheSameBytes) {
  ASSERT_TRUE(Run("whole.sqlite").ok());
  std::atomic<int> stop = 0;
  int times = 0;
  threads_.stop = &stop;
  // Asked to stop while the first points run.
  threads_.progress = [&](const SweepProgress&) { stop = 2; };
  while (times++ < 100) {
    const auto end = Run("s.sqlite", 1, {}, SweepJob::Existing::kResume);
    ASSERT_TRUE(end.ok()) << end.status();
    if (end->finished) break;
    EXPECT_EQ(static_cast<int64_t>(Points("s.sqlite").size()), end->progress.done());
    stop = 0;
  }
  EXPECT_TRUE(Bytes(File("whole.sqlite")) == Bytes(File("s.sqlite")));
}

// A store that has any part of the points, as a killed process leaves it.
TEST_F(SweepTest, AnyPartOfThePointsCanBeResumed) {
  ASSERT_TRUE(Run("whole.sqlite").ok());
  const std::vector<PointRecord> all = Points("whole.sqlite");
  EXPECT_TRUE(rc::check("resumed from some points", [&] {
    StoreMeta meta = DescribeSweep(Plan(), {});
    meta.emplace_back("tool_version", "1");
    std::vector<PointRecord> some;
    for (const PointRecord& point : all) {
      if (*rc::gen::arbitrary<bool>()) some.push_back(point);
    }
    std::reverse(some.begin(), some.end());
    fs::remove(File("s.sqlite"));
    {
      auto writer = StoreWriter::Create(File("s.sqlite"), meta, Plan().spec.Keys());
      RC_ASSERT(writer.ok());
      RC_ASSERT(writer->Append(some).ok());
    }
    const auto end = Run("s.sqlite", 2, {}, SweepJob::Existing::kResume);
    RC_ASSERT(end.ok());
    RC_ASSERT(end->progress.resumed == static_cast<int64_t>(some.size()));
    RC_ASSERT(Bytes(File("whole.sqlite")) == Bytes(File("s.sqlite")));
  }));
}

TEST_F(SweepTest, WhatIsThereIsNotLost) {
  std::atomic<int> stop = 15;
  threads_.stop = &stop;
  ASSERT_FALSE(Run("s.sqlite")->finished);
  stop = 0;
  const auto says = [&](const StatusOr<SweepEnd>& end, const std::string& what) {
    ASSERT_FALSE(end.ok());
    EXPECT_NE(Message(end.status()).find(what), std::string::npos) << end.status();
    EXPECT_NE(Message(end.status()).find("s.sqlite"), std::string::npos) << end.status();
  };
  using Existing = SweepJob::Existing;
  says(Run("s.sqlite"), "--resume goes on, --overwrite starts again");
  says(Run("s.sqlite", 1, {}, Existing::kResume, "2"), "another version of this program");
  says(Run("s.sqlite", 1, {1, 2}, Existing::kResume), "holds shard 0/1, not 1/2");
  {
    const auto lock = StoreLock::Take(File("s.sqlite"));
    ASSERT_TRUE(lock.ok());
    says(Run("s.sqlite", 1, {}, Existing::kResume), "another sweep is writing");
  }
  ASSERT_TRUE(Run("s.sqlite", 1, {}, Existing::kResume)->finished);
  const std::string bytes = Bytes(File("s.sqlite"));
  const auto again = Run("s.sqlite");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->was_finished);
  EXPECT_EQ(again->progress.counts[Outcome::kOk], 3);
  EXPECT_TRUE(Bytes(File("s.sqlite")) == bytes);
  EXPECT_FALSE(Run("s.sqlite", 1, {}, Existing::kOverwrite, "2")->was_finished);
}

TEST_F(SweepTest, HostileStores) {
  ASSERT_TRUE(Run("good.sqlite").ok());
  const std::string good = Bytes(File("good.sqlite"));
  const auto check = [&](const std::string& bytes, bool is_database) {
    std::ofstream(File("s.sqlite"), std::ios::binary | std::ios::trunc) << bytes;
    const auto reader = StoreReader::Open(File("s.sqlite"));
    const auto resumed = Run("s.sqlite", 1, {}, SweepJob::Existing::kResume);
    for (const Status& status : {reader.status(), resumed.status()}) {
      if (status.ok()) continue;  // damage in bytes that are not used
      EXPECT_NE(Message(status).find("s.sqlite"), std::string::npos) << status;
    }
    const auto replaced = Run("s.sqlite", 1, {}, SweepJob::Existing::kOverwrite);
    EXPECT_EQ(replaced.ok(), is_database) << replaced.status();
    EXPECT_EQ(Bytes(File("s.sqlite")) == good, is_database);
    fs::remove(File("s.sqlite"));
  };
  check("", true);
  check("not a database", false);
  check(std::string(100'000, '\xff'), false);
  check(good.substr(0, 16), true);
  for (const size_t size : {size_t{100}, size_t{4096}, good.size() - 4096, good.size() - 1}) {
    check(good.substr(0, size), true);
  }
  EXPECT_TRUE(rc::check("bytes changed anywhere", [&] {
    std::string bytes = good;
    const int changes = *rc::gen::inRange(1, 20);
    for (int i = 0; i < changes; ++i) {
      // The first bytes say what the file is.
      bytes[*rc::gen::inRange<size_t>(16, bytes.size())] = *rc::gen::arbitrary<char>();
    }
    check(bytes, true);
  }));
}

TEST_F(SweepTest, PlacesThatCannotBeWritten) {
  EXPECT_EQ(Run("no/folder/s.sqlite").status().code(), absl::StatusCode::kUnavailable);
  fs::create_directories(File("folder.sqlite"));
  EXPECT_EQ(Run("folder.sqlite").status().code(), absl::StatusCode::kUnavailable);
  std::ofstream(File("file")) << "x";
  EXPECT_EQ(Run("file/s.sqlite").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Entries(), 2u);
}

// Values of keys come back as they were, whatever SQLite makes of them.
RC_GTEST_PROP(PointStore, RecordsComeBack, ()) {
  const TestFolder folder;
  const std::string path = folder.File("store");
  const auto text = rc::gen::oneOf(
      rc::gen::element<std::string>("1", "01", "1.0", "1.5", "1e-05", "-0", "null", "", "[a, b]",
                                    "9223372036854775808", "inf", "nan", "0.1", "'1'"),
      rc::gen::string<std::string>());
  std::vector<PointRecord> records;
  const auto count = *rc::gen::inRange(0, 20);
  for (int i = 0; i < count; ++i) {
    PointRecord& record = records.emplace_back();
    record.index = 3 * i;
    for (int k = 0; k < 2; ++k) {
      std::string value = *text;
      std::erase(value, '\0');
      record.values.push_back(*rc::gen::arbitrary<bool>() ? SweptValue(value) : std::nullopt);
    }
    record.outcome = static_cast<Outcome>(*rc::gen::inRange(0, kOutcomes));
    record.message = *rc::gen::element<std::string>("", "it's \"so\"", "x\ny");
    if (*rc::gen::arbitrary<bool>()) {
      record.metrics.emplace();
      record.metrics->step_time_s = *rc::gen::positive<int>() * 1e-3;
      record.metrics->hbm_peak_bytes = *rc::gen::arbitrary<int64_t>();
      record.metrics->bound_by = "matmul bwd";
    }
  }
  size_t next = 0;
  const Status written = WriteFinishedStore(path, {{"b", "2"}, {"a", "1"}}, {"key", "k\"2"}, [&] {
    return StatusOr<std::optional<PointRecord>>(
        next < records.size() ? std::optional(records[next++]) : std::nullopt);
  });
  RC_ASSERT(written.ok());
  auto reader = StoreReader::Open(path);
  RC_ASSERT(reader.ok());
  RC_ASSERT(reader->meta() == (StoreMeta{{"a", "1"}, {"b", "2"}, {"complete", "1"}}));
  RC_ASSERT(reader->keys() == (std::vector<std::string>{"key", "k\"2"}));
  for (const PointRecord& record : records) RC_ASSERT(**reader->Next() == record);
  RC_ASSERT(!(*reader->Next()).has_value());
  fs::remove(path);
}

}  // namespace
}  // namespace shardwise
