#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <thread>
#include <utility>

#include "apps/cli/scenario_options.h"
#include "apps/cli/sweep_jobs.h"
#include "apps/cli/sweep_progress.h"
#include "apps/cli/verbs.h"
#include "reports/format.h"
#include "reports/sweep_report.h"
#include "reports/version.h"
#include "sim/config/keys.h"
#include "sim/search/sweep.h"
#include "sim/search/sweep_meta.h"

namespace shardwise {
namespace {

constexpr int kTopShown = 10;
// A ranking holds every point in memory, a kilobyte each; a larger store is left to `report`.
constexpr int64_t kMostRanked = 100'000;
constexpr int64_t kMaxThreads = 1024;

// The signal that asks the sweep to stop; 0: none yet.
std::atomic<int> stop_signal = 0;

// The first signal lets points in flight end; the second ends the process. What the store has is
// consistent in both cases.
void OnStopSignal(int signal) {
  if (stop_signal.exchange(signal) != 0) ::_exit(128 + signal);
}

// While it lives, SIGINT and SIGTERM ask the sweep to stop.
class StopSignals {
 public:
  StopSignals() {
    stop_signal = 0;
    struct sigaction action {};
    action.sa_handler = OnStopSignal;
    ::sigaction(SIGINT, &action, &interrupt_);
    ::sigaction(SIGTERM, &action, &terminate_);
  }
  ~StopSignals() {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGTERM, &terminate_, nullptr);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  struct sigaction interrupt_ {
  }, terminate_{};
};

// A file of this process, removed at the end.
struct TemporaryStore {
  std::string path;
  ~TemporaryStore() {
    if (!path.empty()) ::unlink(path.c_str());
  }
};

StatusOr<int64_t> ReadNumber(std::string_view option, std::string_view text, int64_t least) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least) {
    return InvalidArgument("{} {}: expected a whole number of at least {}", option, text, least);
  }
  return value;
}

int ExitCodeOf(const OutcomeCounts& counts) {
  if (counts[Outcome::kNotModelled] + counts[Outcome::kFailed] > 0) return kExitSomeFailed;
  return counts[Outcome::kOk] > 0 ? kExitOk : kExitDoesNotFit;
}

std::string Text(const Environment& environment, std::string_view name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

// When and where, for those who want to know; honours SOURCE_DATE_EPOCH.
StoreMeta EnvironmentMeta(const Environment& environment) {
  const std::string epoch = Text(environment, "SOURCE_DATE_EPOCH");
  std::time_t now = std::time(nullptr);
  if (!epoch.empty()) now = static_cast<std::time_t>(std::strtoll(epoch.c_str(), nullptr, 10));
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char when[32] = {};
  std::strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
  char host[256] = {};
  ::gethostname(host, sizeof host - 1);
  return {{"created", when}, {"host", host}};
}

class SweepVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    scenario_.Bind(parser);
    parser.AddList("--set", request_.sets);
    parser.AddList("--zip", request_.zips);
    parser.AddText("--list", request_.list);
    parser.AddList("--where", request_.where);
    parser.AddText("--limit", limit_);
    parser.AddFormat({Format::kText, Format::kCsv, Format::kJson}, format_);
    parser.AddText("-o,--output", output_);
    parser.AddText("-j,--threads", threads_);
    parser.AddFlag("--resume", resume_);
    parser.AddFlag("--overwrite", overwrite_);
    parser.AddText("--shard", shard_);
    parser.AddText("--shards", shards_);
    parser.AddChoice("--emit", {"k8s", "slurm", "parallel"}, emit_);
    parser.AddFlag("--environment", environment_);
    parser.AddFlag("-q,--quiet", quiet_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    const std::vector<std::string> inputs = scenario_.Inputs(parser.rest());
    if (inputs.empty()) {
      return parser.Misused("nothing to sweep: name a file, a built-in scenario or key=value");
    }
    if (std::find(inputs.begin(), inputs.end(), "-") != inputs.end()) {
      return parser.Misused("a sweep reads its files more than once, so - is none of them");
    }
    if (output_ == "-" && format_ == Format::kText && emit_.empty()) {
      return parser.Misused("the store is a file; standard output takes --format csv or json");
    }
    if (resume_ && overwrite_) return parser.Misused("--resume and --overwrite exclude each other");
    if (!limit_.empty()) {
      SW_ASSIGN_OR_RETURN(request_.limit, ReadNumber("--limit", limit_, 1));
    }
    std::optional<int64_t> shards;
    if (!shards_.empty()) {
      SW_ASSIGN_OR_RETURN(shards, ReadNumber("--shards", shards_, 1));
    }
    SW_ASSIGN_OR_RETURN(const SweepPlan plan, ReadSweepPlan(inputs, io.environment, request_));
    if (!emit_.empty()) return EmitJob(parser, plan, shards, io);
    SW_ASSIGN_OR_RETURN(const ShardChoice choice, ChooseShard(shard_, shards, io.environment));
    if (!choice.source.empty() && !quiet_) {
      io.err << fmt::format("shard {} by {}: {} of {} points\n", choice.shard.ToText(),
                            choice.source, FormatCount(choice.shard.Size(plan.spec.points)),
                            FormatCount(plan.spec.points));
    }
    return RunShard(plan, choice.shard, io);
  }

 private:
  StatusOr<int> EmitJob(const OptionParser& parser, const SweepPlan& plan,
                        std::optional<int64_t> shards, const Console& io) const {
    if (!shards.has_value()) return parser.Misused("--emit needs --shards N");
    SweepJobFile job = {
        .scenario = plan.arguments, .options = {}, .shards = *shards, .points = plan.spec.points};
    const auto add = [&](const std::string& option, const std::string& value) {
      job.options.push_back(option);
      job.options.push_back(value);
    };
    for (const std::string& set : request_.sets) add("--set", set);
    for (const std::string& zip : request_.zips) add("--zip", zip);
    if (!request_.list.empty()) add("--list", request_.list);
    for (const std::string& where : request_.where) add("--where", where);
    if (!limit_.empty()) add("--limit", limit_);
    return Emit(RenderSweepJob(emit_, job), output_.empty() ? "-" : output_, io);
  }

  StatusOr<int> CountThreads() const {
    if (threads_.empty()) return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    SW_ASSIGN_OR_RETURN(const int64_t threads, ReadNumber("-j", threads_, 1));
    return static_cast<int>(std::min(threads, kMaxThreads));
  }

  ProgressPrinter MakeProgress(const SweepPlan& plan, const Console& io) const {
    using Style = ProgressPrinter::Style;
    // Tests give other streams.
    const bool terminal = &io.err == &std::cerr && ::isatty(STDERR_FILENO) == 1 &&
                          Text(io.environment, "TERM") != "dumb";
    struct winsize size {};
    const bool known = terminal && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
    const int width = known && size.ws_col > 0 ? size.ws_col : 80;
    const Style style = quiet_ ? Style::kSilent : terminal ? Style::kTerminal : Style::kLines;
    return ProgressPrinter(io.err, style, width, plan.spec.Keys());
  }

  // A table, to a file. Without --format the file is the store.
  bool ToFile() const { return format_ != Format::kText && !output_.empty() && output_ != "-"; }

  std::string OutputPath(const Shard& shard) const {
    const std::string extension =
        format_ == Format::kText ? ".sqlite" : fmt::format(".{}", Name(format_));
    return ShardFileName(output_.empty() ? "sweep" + extension : output_, shard, extension);
  }

  // A table is made from a store beside it, which is removed when the table is written.
  std::string StorePath(const Shard& shard, TemporaryStore& temporary) const {
    if (format_ == Format::kText || ToFile()) {
      return OutputPath(shard) + (ToFile() ? ".partial" : "");
    }
    std::error_code error;
    const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
    temporary.path = (folder / fmt::format("shardwise-sweep-{}.sqlite", ::getpid())).string();
    return temporary.path;
  }

  StatusOr<int> RunShard(const SweepPlan& plan, const Shard& shard, const Console& io) const {
    TemporaryStore temporary;
    SweepJob job;
    job.plan = &plan;
    job.shard = shard;
    job.store = StorePath(shard, temporary);
    if (resume_) job.existing = SweepJob::Existing::kResume;
    // What stands in a temporary file's place was left by a process that is gone.
    if (overwrite_ || !temporary.path.empty()) job.existing = SweepJob::Existing::kOverwrite;
    std::error_code error;
    if (ToFile() && !overwrite_ && std::filesystem::is_regular_file(OutputPath(shard), error)) {
      return InvalidArgument("{}: error: is there already; --overwrite replaces it",
                             OutputPath(shard));
    }
    std::string version(kToolVersion);
    if (!io.revision.empty()) version += fmt::format(" ({})", io.revision);
    job.stamp = {{std::string(meta::kToolVersion), version},
                 {"maxtext_version", std::string(kMaxTextCommit)}};
    if (environment_) {
      const StoreMeta more = EnvironmentMeta(io.environment);
      job.stamp.insert(job.stamp.end(), more.begin(), more.end());
    }
    SW_ASSIGN_OR_RETURN(job.threads.threads, CountThreads());
    ProgressPrinter printer = MakeProgress(plan, io);
    job.threads.stop = &stop_signal;
    job.threads.progress = [&](const SweepProgress& progress) { printer.Show(progress); };

    const StopSignals signals;
    const StatusOr<SweepEnd> end = RunSweep(job);
    printer.End();
    if (!end.ok()) return end.status();
    if (!quiet_) {
      const bool table = ToFile() && end->finished;
      Say(*end, !temporary.path.empty() ? "" : table ? OutputPath(shard) : job.store, io);
    }
    if (!end->finished && format_ == Format::kText) return 128 + stop_signal;
    SW_ASSIGN_OR_RETURN(const int written, WriteResult(job.store, shard, *end, io));
    if (written != kExitOk) return written;
    return end->finished ? ExitCodeOf(end->progress.counts) : 128 + stop_signal;
  }

  // `file` has the result, or what there is of it; empty: none stays.
  static void Say(const SweepEnd& end, const std::string& file, const Console& io) {
    const SweepProgress& progress = end.progress;
    const std::string of =
        fmt::format("{} of {} points", FormatCount(progress.done()), FormatCount(progress.points));
    if (end.was_finished) {
      io.err << fmt::format("{} holds this sweep already: {}\n", file, of);
    } else if (end.finished) {
      const int64_t now = progress.done() - progress.resumed;
      io.err << fmt::format("{} points in {:.1f} s, {:.0f}/s{}\n", FormatCount(now),
                            progress.seconds,
                            static_cast<double>(now) / std::max(progress.seconds, 1e-3),
                            file.empty() ? "" : "; wrote " + file);
    } else {
      io.err << fmt::format("stopped; {}{}\n", of,
                            file.empty() ? "" : " are in " + file + ", --resume goes on");
    }
  }

  StatusOr<int> WriteResult(const std::string& store, const Shard& shard, const SweepEnd& end,
                            const Console& io) const {
    // A file is written when it is whole; standard output takes what there is.
    if (ToFile() && !end.finished) return kExitOk;
    if (format_ == Format::kText && end.progress.points > kMostRanked) {
      if (!quiet_) io.err << fmt::format("shardwise report {} ranks them\n", store);
      return kExitOk;
    }
    SW_ASSIGN_OR_RETURN(const SweepReport report, ReadSweepReport(store, ""));
    std::string text;
    if (format_ == Format::kText) {
      text = RenderSweepText(report, kTopShown);
    } else {
      text =
          format_ == Format::kJson ? RenderSweepJson(report) : RenderCsv(BuildPointsTable(report));
    }
    const int code = Emit(text, ToFile() ? OutputPath(shard) : "-", io);
    if (ToFile() && code == kExitOk) ::unlink(store.c_str());
    return code;
  }

  SweepRequest request_;
  ScenarioOptions scenario_;
  std::string limit_, output_, threads_, shard_, shards_, emit_;
  Format format_ = Format::kText;
  bool resume_ = false, overwrite_ = false, environment_ = false, quiet_ = false;
};

}  // namespace

constinit const VerbInfo kSweepVerb = {
    .name = "sweep",
    .summary = "one configuration in many variations, to a store of results",
    .help = R"(shardwise sweep [FILE|key=value]... --set key=values... [options]

Simulates every combination of the values of some keys, on all cores, and keeps
each point with its outcome: ok, does not fit (and by how much), illegal (and
why), not modelled, filtered. Inputs are those of shardwise simulate.

  --sim FILE        a sim.yml; its sweep: section is read as below
  --xla FLAGS       flags of the TPU compiler, as of shardwise simulate
  --set KEY=VALUES  a key to vary; the last one varies fastest. VALUES is a
                    list, 1,2,4 or full,minimal or [a,b],[c], or a range with
                    both ends, 1:16:*2 or 1:8:+1. May be given several times
  --zip KEY,KEY     keys whose n-th values belong together
  --list FILE       points one by one: CSV with a header of keys, or JSON Lines
  --where EXPR      a condition on keys and results; the others are filtered:
                    'gbs == 2048', 'hbm_used < 0.95 * hbm_usable'. Has and, or,
                    not, comparisons, + - * /, parentheses. A swept key has the
                    value the point gives it. May be given several times
  --limit N         most points there may be (default 10000000)
  -o, --output FILE the store, an SQLite file (default sweep.sqlite); with
                    --format csv or json the table, - for standard output. A
                    folder or FILE/ gets results.sqlite
  --format FORMAT   text (default): a store, and the best points on standard
                    output; csv or json: a table of every point instead
  -j, --threads N   threads (default: all cores)
  --resume          goes on where a sweep was stopped, or starts one
  --overwrite       replaces a store that is there
  --shard I/N       every N-th point, beginning with the I-th. Without it the
                    variables of Kubernetes Indexed Jobs, Cloud Batch, Slurm
                    arrays, Open MPI and PMI decide; the store's name gets
                    -00007-of-00064
  --shards N        how many shards there are, where the variables do not say
  --emit SYSTEM     runs nothing; prints a job file of --shards N shards for
                    k8s, slurm or parallel (GNU parallel)
  --environment     the store also says when and where it was made, so its bytes
                    are no longer those of another run
  -q, --quiet       nothing on standard error but errors
  -h, --help        prints this text

A file may hold the same, flags come on top:

  maxtext: {model_name: deepseek4-284b, compile_topology: v5p-512}
  sweep:
    ici_expert_parallelism: [1, 2, 4, 8]
    per_device_batch_size: {start: 1, end: 16, multiplier: 2}   # or step
    zip: [[KEY, KEY]]
    constraints: ["hbm_used < 0.95 * hbm_usable"]

Ctrl-C finishes the points in flight; again, it stops at once. Points are in the
store as soon as they are written, so not even kill -9 loses others than those
in flight. The bytes of a finished store depend on neither threads, nor
interruptions, nor shards.

Exit codes: 0 done, 2 bad usage or configuration, 3 no point fits, 5 done but
some points are not modelled or failed, 6 cannot read or write, 130 and 143
interrupted.

Examples:
  shardwise sweep V4-Flash --set ici_expert_parallelism=1,2,4,8 \
      --set per_device_batch_size=1:16:*2 --set remat_policy=full,minimal
  shardwise sweep IW-07 --set per_device_batch_size=1:8:+1 --shard 0/4 -o out/
)",
    .make = MakeVerb<SweepVerb>};

}  // namespace shardwise
