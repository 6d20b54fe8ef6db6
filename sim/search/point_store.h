// A sweep's results as an SQLite file:
//
//   meta(name, value)   what was run: spec, hashes, versions, shard; `complete` is 1 at the end
//   points              one row a point: number, a column per swept key, outcome, message, and
//                       the columns of MetricColumns()
//
// While a sweep runs, rows are in the order in which points ended, and every Append is one
// transaction: what it has returned from is there after a crash of the process. The finished file
// is written anew with the rows in order, so that its bytes depend on the results alone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/status.h"
#include "sim/search/point_record.h"

namespace shardwise {

// Names and values of the meta table.
using StoreMeta = std::vector<std::pair<std::string, std::string>>;
// "" if there is no such name.
const std::string& MetaValue(const StoreMeta& meta, std::string_view name);
inline constexpr std::string_view kMetaComplete = "complete";

// Points one by one; nothing at the end.
using RecordSource = std::function<StatusOr<std::optional<PointRecord>>()>;

class StoreReader {
 public:
  // IoError that names the file if it cannot be read; InvalidArgument if it is no store of a sweep,
  // is damaged, or comes from another version of the format.
  static StatusOr<StoreReader> Open(const std::string& path);
  StoreReader(StoreReader&&) noexcept;
  ~StoreReader();

  const std::string& path() const;
  const StoreMeta& meta() const;
  const std::vector<std::string>& keys() const;
  // The points in order, one a call; nothing at the end.
  StatusOr<std::optional<PointRecord>> Next();

 private:
  struct Rep;
  explicit StoreReader(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

class StoreWriter {
 public:
  // A new file in the place of any other.
  static StatusOr<StoreWriter> Create(const std::string& path, StoreMeta meta,
                                      const std::vector<std::string>& keys);
  // The file a sweep that was stopped has left.
  static StatusOr<StoreWriter> Resume(const std::string& path);
  StoreWriter(StoreWriter&&) noexcept;
  ~StoreWriter();

  Status Append(std::span<const PointRecord> records);
  // The points so far, in order. Valid until the next Append.
  StatusOr<RecordSource> Records();

 private:
  struct Rep;
  explicit StoreWriter(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

// Writes a finished store beside `path` and lets it take the name `path`. `meta` is completed with
// `complete`. IoError leaves what was there as it was.
Status WriteFinishedStore(const std::string& path, StoreMeta meta,
                          const std::vector<std::string>& keys, const RecordSource& next);

}  // namespace shardwise
