#include "apps/cli/sweep_jobs.h"

#include <fmt/format.h>

#include <algorithm>

#include "reports/shell.h"
#include "reports/version.h"

namespace shardwise {
namespace {

std::string Command(const SweepJobFile& job, std::string_view rest) {
  std::string text = "shardwise sweep" + ScenarioWords(job.scenario);
  for (const std::string& option : job.options) text += " " + ShellWord(option);
  return fmt::format("{} {}", text, rest);
}

std::string Head(const SweepJobFile& job) {
  return fmt::format("# {} points in {} shards, up to {} each. Afterwards:\n", job.points,
                     job.shards, (job.points + job.shards - 1) / job.shards);
}

std::string Kubernetes(const SweepJobFile& job) {
  std::string script =
      Command(job, fmt::format("--shards {} --resume -q -o /results/ > /dev/null", job.shards));
  script += "; code=$?; case $code in 3|5) exit 0;; esac; exit $code";
  std::string quoted;  // YAML: a quote in single quotes is doubled
  for (const char c : script) quoted.append(c == '\'' ? 2 : 1, c);
  return fmt::format(
      "{}#   shardwise merge /results/results-*.sqlite -o sweep.sqlite\n"
      "# image and claimName are yours. A pod that is evicted goes on where it was.\n"
      "apiVersion: batch/v1\n"
      "kind: Job\n"
      "metadata:\n"
      "  name: shardwise-sweep\n"
      "spec:\n"
      "  completionMode: Indexed\n"
      "  completions: {}\n"
      "  parallelism: {}\n"
      "  backoffLimit: {}\n"
      "  podFailurePolicy:\n"
      "    rules:\n"
      "    - action: FailJob  # a mistake in the configuration or the file system; 143 is retried\n"
      "      onExitCodes:\n"
      "        operator: In\n"
      "        values: [2, 4, 6, 70]\n"
      "  template:\n"
      "    spec:\n"
      "      restartPolicy: Never\n"
      "      containers:\n"
      "      - name: sweep\n"
      "        image: shardwise:{}\n"
      "        command:\n"
      "        - /bin/sh\n"
      "        - -c\n"
      "        - '{}'\n"
      "        volumeMounts:\n"
      "        - name: results\n"
      "          mountPath: /results\n"
      "      volumes:\n"
      "      - name: results\n"
      "        persistentVolumeClaim:\n"
      "          claimName: shardwise-results\n",
      Head(job), job.shards, job.shards, job.shards, kToolVersion, quoted);
}

std::string Slurm(const SweepJobFile& job) {
  return fmt::format(
      "#!/bin/sh\n"
      "#SBATCH --job-name=shardwise-sweep\n"
      "#SBATCH --array=0-{}\n"
      "#SBATCH --cpus-per-task=4\n"
      "#SBATCH --requeue\n"
      "{}#   shardwise merge results/results-*.sqlite -o sweep.sqlite\n"
      "mkdir -p results\n"
      "{}\n"
      "code=$?\n"
      "case $code in 3|5) exit 0;; esac  # finished, with nothing that fits or not all modelled\n"
      "exit $code\n",
      job.shards - 1, Head(job),
      Command(job, "-j \"$SLURM_CPUS_PER_TASK\" --resume -q -o results/ > /dev/null"));
}

std::string Parallel(const SweepJobFile& job) {
  const std::string command = Command(
      job, fmt::format("--shard {{}}/{} -j 1 --resume -q -o results/ > /dev/null", job.shards));
  return fmt::format(
      "#!/bin/sh\n"
      "{}#   shardwise merge results/results-*.sqlite -o sweep.sqlite\n"
      "# --sshloginfile hosts runs it on several machines that share the folder.\n"
      "mkdir -p results\n"
      "seq 0 {} | parallel {}\n",
      Head(job), job.shards - 1, ShellWord(command));
}

}  // namespace

std::string RenderSweepJob(std::string_view system, const SweepJobFile& job) {
  if (system == "k8s") return Kubernetes(job);
  return system == "slurm" ? Slurm(job) : Parallel(job);
}

}  // namespace shardwise
