// SQLite behind values of this program: its header is included in sqlite.cc alone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "kernels/base/status.h"

namespace shardwise {

// One prepared statement. Parameters count from 1, columns from 0.
class SqlStatement {
 public:
  SqlStatement() = default;

  void Bind(int parameter, int64_t value);
  void Bind(int parameter, double value);
  void Bind(int parameter, std::string_view value);  // must live until Step
  void BindNull(int parameter);
  // True: a row is there; false: the statement has ended and may be bound and stepped anew.
  StatusOr<bool> Step();

  int columns() const;
  std::string ColumnName(int column) const;
  bool IsNull(int column) const;
  bool IsInteger(int column) const;
  bool IsReal(int column) const;
  int64_t Integer(int column) const;
  double Real(int column) const;
  std::string Text(int column) const;

 private:
  friend class SqlDatabase;
  struct Handle;
  std::shared_ptr<Handle> handle_;
};

class SqlDatabase {
 public:
  enum class Mode : uint8_t { kCreate, kOpen };

  // IoError if the file cannot be opened. kOpen: a file that cannot be written may still be read.
  static StatusOr<SqlDatabase> Open(const std::string& path, Mode mode);

  // Any number of statements without results.
  Status Run(const std::string& sql);
  StatusOr<SqlStatement> Prepare(const std::string& sql);
  // The one integer a statement yields; 0 if it yields none.
  StatusOr<int64_t> Integer(const std::string& sql);
  const std::string& path() const;

 private:
  friend class SqlStatement;
  struct Handle;
  std::shared_ptr<Handle> handle_;
};

// A name as SQL text.
std::string SqlName(std::string_view name);

}  // namespace shardwise
