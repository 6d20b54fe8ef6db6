#include "sim/search/sweep.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "sim/search/store_lock.h"
#include "sim/search/sweep_meta.h"

namespace shardwise {
namespace {

namespace fs = std::filesystem;

// Something that is no database is not overwritten, whatever the user says: it may be a typo.
Status RemoveStore(const std::string& path) {
  char magic[6] = {};
  std::ifstream file(path, std::ios::binary);
  file.read(magic, sizeof magic);
  const bool empty = file.gcount() == 0 && file.is_open();
  if (!empty && std::string_view(magic, sizeof magic) != "SQLite") {
    return InvalidArgument("{}: error: not a store of a sweep; it is not overwritten", path);
  }
  file.close();
  for (const std::string& name : {path + "-journal", path}) {
    if (::unlink(name.c_str()) != 0 && errno != ENOENT) {
      return IoError("cannot remove {}: {}", name, std::strerror(errno));
    }
  }
  return absl::OkStatus();
}

// The points a store holds: counted in `progress`, marked in `done` by position in the shard.
Status CountPoints(const RecordSource& next, const Shard& shard, const std::string& path,
                   SweepProgress& progress, std::vector<bool>& done) {
  while (true) {
    SW_ASSIGN_OR_RETURN(const std::optional<PointRecord> record, next());
    if (!record.has_value()) break;
    const int64_t position = (record->index - shard.index) / shard.count;
    if (position < 0 || position >= static_cast<int64_t>(done.size()) ||
        shard.PointAt(position) != record->index) {
      return InvalidArgument("{}: error: damaged: point {} is not of shard {}", path, record->index,
                             shard.ToText());
    }
    done[static_cast<size_t>(position)] = true;
    progress.Add(*record);
  }
  progress.resumed = progress.done();
  return absl::OkStatus();
}

class Sweep {
 public:
  Sweep(const SweepJob& job, StoreMeta meta)
      : job_(job),
        meta_(std::move(meta)),
        keys_(job.plan->spec.Keys()),
        done_(static_cast<size_t>(job.shard.Size(job.plan->spec.points))) {
    end_.progress.points = static_cast<int64_t>(done_.size());
  }

  StatusOr<SweepEnd> Run() {
    SW_RETURN_IF_ERROR(LookAtExisting());
    if (end_.was_finished) return end_;
    SW_ASSIGN_OR_RETURN(StoreWriter writer, OpenStore());
    SW_RETURN_IF_ERROR(
        RunPoints(*job_.plan, job_.shard, done_, job_.threads, writer, end_.progress));
    if (end_.progress.done() < end_.progress.points) return end_;
    SW_ASSIGN_OR_RETURN(const RecordSource records, writer.Records());
    SW_RETURN_IF_ERROR(WriteFinishedStore(job_.store, meta_, keys_, records));
    end_.finished = true;
    return end_;
  }

 private:
  // A store that is there already: finished, to be resumed, to be overwritten, or in the way.
  Status LookAtExisting() {
    std::error_code error;
    if (!fs::exists(job_.store, error)) return absl::OkStatus();
    if (job_.existing == SweepJob::Existing::kOverwrite) return RemoveStore(job_.store);
    SW_ASSIGN_OR_RETURN(StoreReader reader, StoreReader::Open(job_.store));
    if (const std::string other = DifferenceOf(reader.meta(), meta_); !other.empty()) {
      return InvalidArgument("{}: error: holds a sweep of {}; --overwrite replaces it", job_.store,
                             other);
    }
    if (MetaValue(reader.meta(), meta::kShard) != job_.shard.ToText()) {
      return InvalidArgument("{}: error: holds shard {}, not {}; --overwrite replaces it",
                             job_.store, MetaValue(reader.meta(), meta::kShard),
                             job_.shard.ToText());
    }
    SW_RETURN_IF_ERROR(
        CountPoints([&] { return reader.Next(); }, job_.shard, job_.store, end_.progress, done_));
    if (MetaValue(reader.meta(), kMetaComplete) == "1") {
      end_.finished = end_.was_finished = true;
    } else if (job_.existing == SweepJob::Existing::kRefuse) {
      return InvalidArgument(
          "{}: error: holds {} of {} points; --resume goes on, --overwrite starts again",
          job_.store, end_.progress.done(), end_.progress.points);
    }
    resuming_ = true;
    return absl::OkStatus();
  }

  StatusOr<StoreWriter> OpenStore() {
    if (resuming_) return StoreWriter::Resume(job_.store);
    return StoreWriter::Create(job_.store, meta_, keys_);
  }

  const SweepJob& job_;
  StoreMeta meta_;
  std::vector<std::string> keys_;
  std::vector<bool> done_;
  SweepEnd end_;
  bool resuming_ = false;
};

}  // namespace

StatusOr<SweepEnd> RunSweep(const SweepJob& job) {
  SW_ASSIGN_OR_RETURN(const StoreLock lock, StoreLock::Take(job.store));
  StoreMeta meta = DescribeSweep(*job.plan, job.shard);
  meta.insert(meta.begin(), job.stamp.begin(), job.stamp.end());
  return Sweep(job, std::move(meta)).Run();
}

}  // namespace shardwise
