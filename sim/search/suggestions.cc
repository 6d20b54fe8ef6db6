#include "sim/search/suggestions.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "sim/analysis/waterfall.h"
#include "sim/search/point_evaluator.h"

namespace shardwise {
namespace {

struct Candidate {
  Neighbour neighbour;
  PointResult point;
  int64_t devices = 0;

  // Device seconds per token: what a step costs.
  double Cost() const {
    return point.step_time.seconds() * static_cast<double>(devices) /
           static_cast<double>(point.tokens);
  }
};

std::set<std::string> WithoutNumbers(const std::vector<std::string>& texts) {
  std::set<std::string> out;
  for (std::string text : texts) {
    std::erase_if(text, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
    out.insert(std::move(text));
  }
  return out;
}

class Searcher {
 public:
  Searcher(const ScenarioTemplate& base, const std::vector<std::string>& arguments,
           const Environment& environment, const Evaluation& now, const SuggestionOptions& options)
      : base_(base),
        arguments_(arguments),
        environment_(environment),
        now_(now),
        options_(options),
        evaluator_(caches_) {
    now_candidate_.point = PointResultOf(now);
    now_candidate_.devices = now.placement.topology.devices();
  }

  Suggestions Run() {
    const Chip& chip = now_.placement.topology.chip;
    const bool fits = now_.memory.fits();
    result_.least_speedup = fits ? options_.least_speedup : 0;
    std::vector<Candidate> candidates = EvaluateAll(NeighboursOf(now_.scenario, chip, !fits), {});
    std::vector<Candidate> accepted = Accepted(candidates);
    if (!fits && accepted.empty()) accepted = Accepted(TwoChanges(candidates));
    std::stable_sort(accepted.begin(), accepted.end(),
                     [](const Candidate& a, const Candidate& b) { return a.Cost() < b.Cost(); });
    Choose(accepted);
    return std::move(result_);
  }

 private:
  std::vector<Candidate> EvaluateAll(const std::vector<Neighbour>& neighbours,
                                     const std::vector<Override>& before) {
    std::vector<Candidate> candidates;
    int left = options_.most_evaluations;
    for (const Neighbour& neighbour : neighbours) {
      if (left == 0) break;
      Neighbour whole = neighbour;
      whole.change.insert(whole.change.begin(), before.begin(), before.end());
      const StatusOr<Scenario> scenario = base_.Resolve(whole.change);
      if (!scenario.ok()) continue;  // costs little, counts nothing
      --left;
      ++result_.evaluated;
      StatusOr<PointResult> point = evaluator_.Evaluate(*scenario);
      if (!point.ok()) continue;
      candidates.push_back({std::move(whole), *std::move(point), scenario->mesh.devices()});
    }
    return candidates;
  }

  bool IsAcceptable(const Candidate& candidate) const {
    if (!candidate.point.fits) return false;
    if (candidate.point.near_limit && !now_.memory.near_limit()) return false;
    if (!now_.memory.fits()) return true;
    return now_candidate_.Cost() >= options_.least_speedup * candidate.Cost();
  }

  std::vector<Candidate> Accepted(const std::vector<Candidate>& candidates) const {
    std::vector<Candidate> accepted;
    std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(accepted),
                 [&](const Candidate& candidate) { return IsAcceptable(candidate); });
    return accepted;
  }

  // The change that saves most memory, and each other one besides.
  std::vector<Candidate> TwoChanges(const std::vector<Candidate>& candidates) {
    const Candidate* first = nullptr;
    for (const Candidate& candidate : candidates) {
      if (first == nullptr || candidate.point.hbm_peak_bytes < first->point.hbm_peak_bytes) {
        first = &candidate;
      }
    }
    if (first == nullptr) return {};
    std::vector<std::string> arguments = arguments_;
    for (const auto& [key, value] : first->neighbour.change) arguments.push_back(key + "=" + value);
    const StatusOr<Scenario> scenario = LoadScenario(arguments, environment_);
    if (!scenario.ok()) return {};
    std::vector<Neighbour> second = NeighboursOf(*scenario, now_.placement.topology.chip, true);
    std::erase_if(second,
                  [&](const Neighbour& other) { return other.kind == first->neighbour.kind; });
    return EvaluateAll(second, first->neighbour.change);
  }

  // Something is said that is not said now, numbers aside.
  bool BringsWarning(const Evaluation& then) const {
    const std::set<std::string> known = WithoutNumbers(now_.warnings);
    const std::set<std::string> said = WithoutNumbers(then.warnings);
    return !std::includes(known.begin(), known.end(), said.begin(), said.end());
  }

  // One of each kind, each evaluated whole: for its warnings, and for where its gain is.
  void Choose(const std::vector<Candidate>& ranked) {
    std::vector<ChangeKind> taken;
    for (const Candidate& candidate : ranked) {
      if (static_cast<int>(result_.list.size()) == options_.most_suggestions) return;
      const ChangeKind kind = candidate.neighbour.kind;
      if (std::find(taken.begin(), taken.end(), kind) != taken.end()) continue;
      StatusOr<Scenario> scenario = base_.Resolve(candidate.neighbour.change);
      if (!scenario.ok()) continue;
      const StatusOr<std::unique_ptr<Evaluation>> then = Evaluate(*std::move(scenario));
      if (!then.ok() || BringsWarning(**then)) continue;
      taken.push_back(kind);
      result_.list.push_back(Describe(candidate, **then));
    }
  }

  Suggestion Describe(const Candidate& candidate, const Evaluation& then) const {
    Suggestion out;
    out.kind = candidate.neighbour.kind;
    out.change = candidate.neighbour.ToText();
    out.step_time = candidate.point.step_time;
    out.tokens = candidate.point.tokens;
    out.devices = candidate.devices;
    out.hbm_peak_bytes = candidate.point.hbm_peak_bytes;
    out.speedup = now_candidate_.Cost() / candidate.Cost();
    std::map<std::string, Duration> bars;
    for (const WaterfallBar& bar : BuildWaterfall(then.result)) bars[bar.name] = bar.time;
    const auto tokens_per_device = [](const Candidate& c) {
      return static_cast<double>(c.point.tokens) / static_cast<double>(c.devices);
    };
    const double same_tokens = tokens_per_device(now_candidate_) / tokens_per_device(candidate);
    for (const WaterfallBar& bar : BuildWaterfall(now_.result)) {
      const double ps = static_cast<double>(bars[bar.name].ps) * same_tokens;
      const Duration after = {std::llround(ps)};
      if (bar.time - after <= out.bar_now - out.bar_then) continue;
      out.bar = bar.name;
      out.bar_now = bar.time;
      out.bar_then = after;
    }
    return out;
  }

  const ScenarioTemplate& base_;
  const std::vector<std::string>& arguments_;
  const Environment& environment_;
  const Evaluation& now_;
  const SuggestionOptions& options_;
  Candidate now_candidate_;
  SharedCaches caches_;
  PointEvaluator evaluator_;
  Suggestions result_;
};

}  // namespace

StatusOr<Suggestions> Suggest(const std::vector<std::string>& arguments,
                              const Environment& environment, const Evaluation& evaluation,
                              const SuggestionOptions& options) {
  SW_ASSIGN_OR_RETURN(const ScenarioTemplate base, ScenarioTemplate::Read(arguments, environment));
  return Searcher(base, arguments, environment, evaluation, options).Run();
}

}  // namespace shardwise
