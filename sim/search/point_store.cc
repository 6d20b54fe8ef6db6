#include "sim/search/point_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "sim/search/sqlite.h"

namespace shardwise {
namespace {

constexpr int kApplicationId = 0x73776470;  // "swdp"
constexpr int kFormatVersion = 1;           // of the tables

// A key's value as SQLite's own type where that loses nothing, so that users may compare and sort.
void BindValue(SqlStatement& statement, int parameter, const SweptValue& value) {
  if (!value.has_value()) return statement.BindNull(parameter);
  const char *begin = value->data(), *end = begin + value->size();
  int64_t integer = 0;
  if (const auto [rest, error] = std::from_chars(begin, end, integer);
      error == std::errc() && rest == end && fmt::format("{}", integer) == *value) {
    return statement.Bind(parameter, integer);
  }
  double real = 0;
  if (const auto [rest, error] = std::from_chars(begin, end, real);
      error == std::errc() && rest == end && std::isfinite(real) &&
      fmt::format("{}", real) == *value) {
    return statement.Bind(parameter, real);
  }
  statement.Bind(parameter, *value);
}

SweptValue ValueOf(const SqlStatement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  if (row.IsInteger(column)) return fmt::format("{}", row.Integer(column));
  if (row.IsReal(column)) return fmt::format("{}", row.Real(column));
  return row.Text(column);
}

std::string_view TypeOf(const MetricColumn& column) {
  if (std::holds_alternative<std::string PointMetrics::*>(column.field)) return "TEXT";
  return std::holds_alternative<int64_t PointMetrics::*>(column.field) ? "INTEGER" : "REAL";
}

// Columns of the points table around those of the keys.
constexpr std::string_view kPoint = "point", kOutcome = "outcome", kMessage = "message";
constexpr int kFixedColumns = 3;

std::string CreatePoints(const std::vector<std::string>& keys) {
  std::string sql = fmt::format("CREATE TABLE points ({} INTEGER PRIMARY KEY", kPoint);
  for (const std::string& key : keys) sql += fmt::format(", {}", SqlName(key));
  sql += fmt::format(", {} TEXT NOT NULL, {} TEXT NOT NULL", kOutcome, kMessage);
  for (const MetricColumn& column : MetricColumns()) {
    sql += fmt::format(", {} {}", column.name, TypeOf(column));
  }
  return sql + ")";
}

std::string InsertPoint(size_t keys) {
  std::string sql = "INSERT INTO points VALUES (?";
  for (size_t i = 1; i < kFixedColumns + keys + MetricColumns().size(); ++i) sql += ",?";
  return sql + ")";
}

Status Insert(SqlStatement& insert, const PointRecord& record) {
  int parameter = 1;
  insert.Bind(parameter++, record.index);
  for (const SweptValue& value : record.values) BindValue(insert, parameter++, value);
  insert.Bind(parameter++, Name(record.outcome));
  insert.Bind(parameter++, std::string_view(record.message));
  for (const MetricColumn& column : MetricColumns()) {
    if (!record.metrics.has_value()) {
      insert.BindNull(parameter++);
      continue;
    }
    std::visit(
        [&](auto field) {
          if constexpr (std::is_same_v<decltype(field), std::string PointMetrics::*>) {
            insert.Bind(parameter++, std::string_view((*record.metrics).*field));
          } else {
            insert.Bind(parameter++, (*record.metrics).*field);
          }
        },
        column.field);
  }
  return insert.Step().status();
}

PointMetrics ReadMetrics(const SqlStatement& row, int first) {
  PointMetrics metrics;
  for (const MetricColumn& column : MetricColumns()) {
    const int at = first++;
    std::visit(
        [&](auto field) {
          if constexpr (std::is_same_v<decltype(field), std::string PointMetrics::*>) {
            metrics.*field = row.Text(at);
          } else if constexpr (std::is_same_v<decltype(field), int64_t PointMetrics::*>) {
            metrics.*field = row.Integer(at);
          } else {
            metrics.*field = row.Real(at);
          }
        },
        column.field);
  }
  return metrics;
}

StatusOr<PointRecord> ReadRecord(const SqlStatement& row, int keys, const std::string& path) {
  PointRecord record;
  record.index = row.Integer(0);
  for (int k = 0; k < keys; ++k) record.values.push_back(ValueOf(row, 1 + k));
  const std::optional<Outcome> outcome = ParseOutcome(row.Text(keys + 1));
  if (!outcome.has_value()) {
    return InvalidArgument("{}: error: damaged: point {} has no outcome", path, record.index);
  }
  record.outcome = *outcome;
  record.message = row.Text(keys + 2);
  const int metrics = keys + kFixedColumns;
  if (!row.IsNull(metrics)) record.metrics = ReadMetrics(row, metrics);
  return record;
}

RecordSource RecordsOf(SqlStatement statement, int keys, std::string path) {
  return
      [statement, keys, path = std::move(path)]() mutable -> StatusOr<std::optional<PointRecord>> {
        SW_ASSIGN_OR_RETURN(const bool row, statement.Step());
        if (!row) return std::optional<PointRecord>();
        SW_ASSIGN_OR_RETURN(PointRecord record, ReadRecord(statement, keys, path));
        return std::optional(std::move(record));
      };
}

constexpr const char* kSelectPoints = "SELECT * FROM points ORDER BY point";

// Rows of meta are written by name: the bytes of a table depend on the order of insertion.
Status CreateTables(SqlDatabase& database, StoreMeta meta, const std::vector<std::string>& keys) {
  std::sort(meta.begin(), meta.end());
  SW_RETURN_IF_ERROR(database.Run(
      fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};"
                  "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
                  kApplicationId, kFormatVersion)));
  SW_RETURN_IF_ERROR(database.Run(CreatePoints(keys)));
  SW_ASSIGN_OR_RETURN(SqlStatement insert, database.Prepare("INSERT INTO meta VALUES (?, ?)"));
  for (const auto& [name, value] : meta) {
    insert.Bind(1, std::string_view(name));
    insert.Bind(2, std::string_view(value));
    SW_RETURN_IF_ERROR(insert.Step().status());
  }
  return absl::OkStatus();
}

StatusOr<StoreMeta> ReadMeta(SqlDatabase& database) {
  StoreMeta meta;
  SW_ASSIGN_OR_RETURN(SqlStatement row, database.Prepare("SELECT name, value FROM meta"));
  while (true) {
    SW_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return meta;
    meta.emplace_back(row.Text(0), row.Text(1));
  }
}

Status CheckFormat(SqlDatabase& database) {
  SW_ASSIGN_OR_RETURN(const int64_t application, database.Integer("PRAGMA application_id"));
  if (application != kApplicationId) {
    return InvalidArgument("{}: error: not a store of a sweep", database.path());
  }
  SW_ASSIGN_OR_RETURN(const int64_t version, database.Integer("PRAGMA user_version"));
  if (version != kFormatVersion) {
    return InvalidArgument("{}: error: has format {}, this program reads {}", database.path(),
                           version, kFormatVersion);
  }
  SW_ASSIGN_OR_RETURN(SqlStatement check, database.Prepare("PRAGMA quick_check(1)"));
  SW_ASSIGN_OR_RETURN(const bool row, check.Step());
  if (row && check.Text(0) == "ok") return absl::OkStatus();
  return InvalidArgument("{}: error: damaged: {}", database.path(), row ? check.Text(0) : "empty");
}

// The keys' columns; InvalidArgument if the others are not where they belong.
StatusOr<std::vector<std::string>> ReadKeys(const SqlStatement& points, const std::string& path) {
  const int metrics = static_cast<int>(MetricColumns().size());
  const int keys = points.columns() - kFixedColumns - metrics;
  bool right = keys >= 0 && points.ColumnName(0) == kPoint &&
               points.ColumnName(keys + 1) == kOutcome && points.ColumnName(keys + 2) == kMessage;
  for (int m = 0; right && m < metrics; ++m) {
    right = points.ColumnName(keys + kFixedColumns + m) == MetricColumns()[m].name;
  }
  if (!right) return InvalidArgument("{}: error: its points have other columns", path);
  std::vector<std::string> names;
  for (int k = 0; k < keys; ++k) names.push_back(points.ColumnName(1 + k));
  return names;
}

// What is on the disk survives the machine; what is only written, the process.
Status Synchronize(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return IoError("cannot write {}: {}", path, std::strerror(errno));
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return error == 0 ? absl::OkStatus() : IoError("cannot write {}: {}", path, std::strerror(error));
}

Status WriteRows(const std::string& path, const StoreMeta& meta,
                 const std::vector<std::string>& keys, const RecordSource& next) {
  SW_ASSIGN_OR_RETURN(SqlDatabase database, SqlDatabase::Open(path, SqlDatabase::Mode::kCreate));
  SW_RETURN_IF_ERROR(
      database.Run("PRAGMA page_size = 4096; PRAGMA encoding = 'UTF-8'; PRAGMA auto_vacuum = NONE;"
                   "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN"));
  SW_RETURN_IF_ERROR(CreateTables(database, meta, keys));
  SW_ASSIGN_OR_RETURN(SqlStatement insert, database.Prepare(InsertPoint(keys.size())));
  while (true) {
    SW_ASSIGN_OR_RETURN(const std::optional<PointRecord> record, next());
    if (!record.has_value()) break;
    SW_RETURN_IF_ERROR(Insert(insert, *record));
  }
  return database.Run("COMMIT");
}

// A file that appears whole or not at all.
Status WriteWhole(const std::string& path, const StoreMeta& meta,
                  const std::vector<std::string>& keys, const RecordSource& next) {
  const std::filesystem::path target(path);
  const std::string name = fmt::format(".{}.tmp", target.filename().string());
  const std::string temporary = (target.parent_path() / name).string();
  ::unlink(temporary.c_str());  // left by a process that was killed
  Status status = WriteRows(temporary, meta, keys, next);
  if (status.ok()) status = Synchronize(temporary);
  // The journal of a file that was removed would be taken for this one's.
  if (status.ok()) ::unlink((path + "-journal").c_str());
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = IoError("cannot write {}: {}", path, std::strerror(errno));
  }
  if (!status.ok()) ::unlink(temporary.c_str());
  return status;
}

}  // namespace

const std::string& MetaValue(const StoreMeta& meta, std::string_view name) {
  static const std::string none;
  for (const auto& [key, value] : meta) {
    if (key == name) return value;
  }
  return none;
}

struct StoreReader::Rep {
  std::string path;
  StoreMeta meta;
  std::vector<std::string> keys;
  RecordSource next;
};

StoreReader::StoreReader(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
StoreReader::StoreReader(StoreReader&&) noexcept = default;
StoreReader::~StoreReader() = default;
const std::string& StoreReader::path() const { return rep_->path; }
const StoreMeta& StoreReader::meta() const { return rep_->meta; }
const std::vector<std::string>& StoreReader::keys() const { return rep_->keys; }
StatusOr<std::optional<PointRecord>> StoreReader::Next() { return rep_->next(); }

StatusOr<StoreReader> StoreReader::Open(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return IoError("cannot read {}: no such file", path);
  if (std::filesystem::is_directory(path, error)) {
    return IoError("cannot read {}: it is a directory", path);
  }
  SW_ASSIGN_OR_RETURN(SqlDatabase database, SqlDatabase::Open(path, SqlDatabase::Mode::kOpen));
  SW_RETURN_IF_ERROR(CheckFormat(database));
  auto rep = std::make_unique<Rep>();
  rep->path = path;
  SW_ASSIGN_OR_RETURN(rep->meta, ReadMeta(database));
  SW_ASSIGN_OR_RETURN(const SqlStatement points, database.Prepare(kSelectPoints));
  SW_ASSIGN_OR_RETURN(rep->keys, ReadKeys(points, path));
  rep->next = RecordsOf(points, static_cast<int>(rep->keys.size()), path);
  return StoreReader(std::move(rep));
}

struct StoreWriter::Rep {
  SqlDatabase database;
  SqlStatement insert;
  int keys = 0;
};

StoreWriter::StoreWriter(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
StoreWriter::StoreWriter(StoreWriter&&) noexcept = default;
StoreWriter::~StoreWriter() = default;

StatusOr<StoreWriter> StoreWriter::Create(const std::string& path, StoreMeta meta,
                                          const std::vector<std::string>& keys) {
  meta.emplace_back(kMetaComplete, "0");
  const auto empty = [] { return StatusOr<std::optional<PointRecord>>(std::nullopt); };
  SW_RETURN_IF_ERROR(WriteWhole(path, meta, keys, empty));
  return Resume(path);
}

StatusOr<StoreWriter> StoreWriter::Resume(const std::string& path) {
  auto rep = std::make_unique<Rep>();
  SW_ASSIGN_OR_RETURN(rep->database, SqlDatabase::Open(path, SqlDatabase::Mode::kOpen));
  SW_RETURN_IF_ERROR(CheckFormat(rep->database));
  SW_ASSIGN_OR_RETURN(const SqlStatement points, rep->database.Prepare(kSelectPoints));
  SW_ASSIGN_OR_RETURN(const std::vector<std::string> keys, ReadKeys(points, path));
  rep->keys = static_cast<int>(keys.size());
  // Two fsyncs a transaction: also safe when the machine stops. They cost the writer time, not the
  // threads that evaluate.
  SW_RETURN_IF_ERROR(rep->database.Run("PRAGMA synchronous = NORMAL"));
  SW_ASSIGN_OR_RETURN(rep->insert, rep->database.Prepare(InsertPoint(keys.size())));
  return StoreWriter(std::move(rep));
}

Status StoreWriter::Append(std::span<const PointRecord> records) {
  SW_RETURN_IF_ERROR(rep_->database.Run("BEGIN IMMEDIATE"));
  for (const PointRecord& record : records) SW_RETURN_IF_ERROR(Insert(rep_->insert, record));
  return rep_->database.Run("COMMIT");
}

StatusOr<RecordSource> StoreWriter::Records() {
  SW_ASSIGN_OR_RETURN(const SqlStatement points, rep_->database.Prepare(kSelectPoints));
  return RecordsOf(points, rep_->keys, rep_->database.path());
}

Status WriteFinishedStore(const std::string& path, StoreMeta meta,
                          const std::vector<std::string>& keys, const RecordSource& next) {
  meta.emplace_back(kMetaComplete, "1");
  return WriteWhole(path, meta, keys, next);
}

}  // namespace shardwise
