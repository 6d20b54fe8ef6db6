#include "reports/listings.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "model/ir/op.h"
#include "reports/test_util.h"
#include "reports/version.h"

namespace shardwise {
namespace {

std::string Text(const Table& table, size_t row, std::string_view id) {
  return std::get<std::string>(table.rows[row][static_cast<size_t>(table.Find(id))]);
}

TEST(Listings, EveryChipNumberHasUnitStatusAndSource) {
  for (const std::string& name : ChipNames()) {
    const StatusOr<Chip> chip = LoadChip(name);
    ASSERT_TRUE(chip.ok()) << Message(chip.status());
    const Table table = BuildChipTable(*chip);
    EXPECT_EQ(table.rows.size(), chip->sources.size());
    for (size_t r = 0; r < table.rows.size(); ++r) {
      const std::string value = Text(table, r, "value"), key = Text(table, r, "key");
      const bool number = value.find_first_not_of("+-.0123456789e") == std::string::npos;
      EXPECT_EQ(number, !Text(table, r, "unit").empty()) << key << " = " << value;
      EXPECT_FALSE(Text(table, r, "status").empty()) << key;
      EXPECT_FALSE(Text(table, r, "source").empty()) << key;
    }
  }
}

TEST(Listings, UnitsOfTellingKeys) {
  EXPECT_EQ(UnitOfChipKey("memory.hbm_bytes_per_s_per_device"), "B/s");
  EXPECT_EQ(UnitOfChipKey("memory.hbm_bytes_per_device"), "B");
  EXPECT_EQ(UnitOfChipKey("matmul.bytes_per_cycle"), "B/cycle");
  EXPECT_EQ(UnitOfChipKey("matmul.a"), "factor");
  EXPECT_EQ(UnitOfChipKey("matmul.c0_cycles"), "cycles");
  EXPECT_EQ(UnitOfChipKey("overhead.op_s"), "s");
  EXPECT_EQ(UnitOfChipKey("clock.p3"), "Hz");
  EXPECT_EQ(UnitOfChipKey("collectives.all_reduce"), "");
}

TEST(Listings, EveryOpIsListedOnce) {
  const Table table = BuildOpTable();
  std::set<std::string> names;
  for (size_t r = 0; r < table.rows.size(); ++r) {
    EXPECT_TRUE(names.insert(Text(table, r, "name")).second);
    EXPECT_FALSE(Text(table, r, "doc").empty()) << Text(table, r, "name");
  }
  EXPECT_EQ(names.size(), AllOps().size());
}

TEST(Version, IsThatOfTheBuild) {
  const std::string cmake = ReadWhole(std::string(SHARDWISE_SOURCE_DIR) + "/CMakeLists.txt");
  EXPECT_NE(cmake.find("project(shardwise VERSION " + std::string(kToolVersion) + " "),
            std::string::npos);
}

}  // namespace
}  // namespace shardwise
