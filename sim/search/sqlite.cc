#include "sim/search/sqlite.h"

#include <sqlite3.h>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

// A reader of a store that is being written waits for the writer's transaction, and the other way
// round.
constexpr int kBusyMilliseconds = 10'000;

// Damage is the file's fault and no other file will be tried; the rest is the machine's.
Status Failure(const std::string& path, int code, const char* text) {
  switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_FORMAT:
    case SQLITE_SCHEMA:
    case SQLITE_ERROR:
      return InvalidArgument("{}: error: not a store of a sweep, or damaged: {}", path, text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return IoError("cannot use {}: another process is writing it", path);
    default:
      return IoError("cannot read or write {}: {}", path, text);
  }
}

}  // namespace

struct SqlDatabase::Handle {
  std::string path;
  sqlite3* db = nullptr;
  ~Handle() { sqlite3_close_v2(db); }

  Status Check(int code) const {
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return absl::OkStatus();
    return Failure(path, code, db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db));
  }
};

struct SqlStatement::Handle {
  std::shared_ptr<SqlDatabase::Handle> database;
  sqlite3_stmt* statement = nullptr;
  ~Handle() { sqlite3_finalize(statement); }
};

StatusOr<SqlDatabase> SqlDatabase::Open(const std::string& path, Mode mode) {
  SqlDatabase out;
  out.handle_ = std::make_shared<Handle>();
  out.handle_->path = path;
  const int flags = SQLITE_OPEN_READWRITE | (mode == Mode::kCreate ? SQLITE_OPEN_CREATE : 0);
  SW_RETURN_IF_ERROR(out.handle_->Check(
      sqlite3_open_v2(path.c_str(), &out.handle_->db, flags | SQLITE_OPEN_NOMUTEX, nullptr)));
  sqlite3* db = out.handle_->db;
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, kBusyMilliseconds);
  // A file from elsewhere must not run code of its own.
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return out;
}

Status SqlDatabase::Run(const std::string& sql) {
  return handle_->Check(sqlite3_exec(handle_->db, sql.c_str(), nullptr, nullptr, nullptr));
}

StatusOr<SqlStatement> SqlDatabase::Prepare(const std::string& sql) {
  SqlStatement out;
  out.handle_ = std::make_shared<SqlStatement::Handle>();
  out.handle_->database = handle_;
  SW_RETURN_IF_ERROR(handle_->Check(sqlite3_prepare_v2(
      handle_->db, sql.data(), static_cast<int>(sql.size()), &out.handle_->statement, nullptr)));
  return out;
}

StatusOr<int64_t> SqlDatabase::Integer(const std::string& sql) {
  SW_ASSIGN_OR_RETURN(SqlStatement statement, Prepare(sql));
  SW_ASSIGN_OR_RETURN(const bool row, statement.Step());
  return row ? statement.Integer(0) : 0;
}

const std::string& SqlDatabase::path() const { return handle_->path; }

void SqlStatement::Bind(int parameter, int64_t value) {
  SW_CHECK(sqlite3_bind_int64(handle_->statement, parameter, value) == SQLITE_OK);
}

void SqlStatement::Bind(int parameter, double value) {
  SW_CHECK(sqlite3_bind_double(handle_->statement, parameter, value) == SQLITE_OK);
}

void SqlStatement::Bind(int parameter, std::string_view value) {
  // No data would be NULL, not an empty text.
  const char* data = value.data() == nullptr ? "" : value.data();
  SW_CHECK(sqlite3_bind_text(handle_->statement, parameter, data, static_cast<int>(value.size()),
                             SQLITE_STATIC) == SQLITE_OK);
}

void SqlStatement::BindNull(int parameter) {
  SW_CHECK(sqlite3_bind_null(handle_->statement, parameter) == SQLITE_OK);
}

StatusOr<bool> SqlStatement::Step() {
  const int code = sqlite3_step(handle_->statement);
  if (code == SQLITE_ROW) return true;
  // The message belongs to the step, so it is read before the reset.
  const Status status = handle_->database->Check(code);
  sqlite3_reset(handle_->statement);
  if (!status.ok()) return status;
  return false;
}

int SqlStatement::columns() const { return sqlite3_column_count(handle_->statement); }

std::string SqlStatement::ColumnName(int column) const {
  const char* name = sqlite3_column_name(handle_->statement, column);
  return name == nullptr ? "" : name;
}

bool SqlStatement::IsNull(int column) const {
  return sqlite3_column_type(handle_->statement, column) == SQLITE_NULL;
}

bool SqlStatement::IsInteger(int column) const {
  return sqlite3_column_type(handle_->statement, column) == SQLITE_INTEGER;
}

bool SqlStatement::IsReal(int column) const {
  return sqlite3_column_type(handle_->statement, column) == SQLITE_FLOAT;
}

int64_t SqlStatement::Integer(int column) const {
  return sqlite3_column_int64(handle_->statement, column);
}

double SqlStatement::Real(int column) const {
  return sqlite3_column_double(handle_->statement, column);
}

std::string SqlStatement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(handle_->statement, column);
  const int size = sqlite3_column_bytes(handle_->statement, column);
  return text == nullptr ? "" : std::string(reinterpret_cast<const char*>(text), size);
}

std::string SqlName(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) out.append(c == '"' ? 2 : 1, c);
  return out + "\"";
}

}  // namespace shardwise
