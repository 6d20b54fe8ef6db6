#include "reports/table.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "reports/test_util.h"

namespace shardwise {
namespace {

Table Sample() {
  Table table;
  table.columns = {{"name", "name", Unit::kText},
                   {"time_s", "time", Unit::kSeconds},
                   {"raw", "", Unit::kNumber},
                   {"", "shown", Unit::kBytes},
                   {"time_ps", "picoseconds", Unit::kPicoseconds}};
  table.rows = {{std::string("a, \"b\""), Duration{1'500'000'000'000}, 0.1, std::string("1 B"),
                 Duration{1'500'000'000'000}},
                {std::string("c|d"), Cell(), 1e300, 2500.0, Duration{7}}};
  return table;
}

// Reads RFC 4180 text back.
std::vector<std::vector<std::string>> ParseCsv(const std::string& text) {
  std::vector<std::vector<std::string>> rows(1);
  std::string field;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted) {
      if (text[i] != '"') {
        field += text[i];
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        field += text[i++];
      } else {
        quoted = false;
      }
    } else if (text[i] == '"') {
      quoted = true;
    } else if (text[i] == ',' || text[i] == '\r') {
      rows.back().push_back(field);
      field.clear();
    } else if (text[i] == '\n') {
      rows.emplace_back();
    } else {
      field += text[i];
    }
  }
  rows.pop_back();
  return rows;
}

TEST(Table, TextShowsLabelledColumns) {
  EXPECT_EQ(RenderText(Sample()),
            "  name       time     shown        picoseconds\n"
            "  a, \"b\"  1.500 s       1 B  1,500,000,000,000\n"
            "  c|d              2.500 kB                  7\n");
  EXPECT_EQ(LinesOf(RenderText(Sample(), 0, 1)).size(), 2u);
}

TEST(Table, MarkdownEscapesBars) {
  EXPECT_NE(RenderMarkdown(Sample()).find("| c\\|d |"), std::string::npos);
  EXPECT_NE(RenderMarkdown(Sample()).find("|---|---:|---:|---:|\n"), std::string::npos);
}

TEST(Table, CsvShowsColumnsWithIds) {
  const auto rows = ParseCsv(RenderCsv(Sample()));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0], (std::vector<std::string>{"name", "time_s", "raw", "time_ps"}));
  EXPECT_EQ(rows[1], (std::vector<std::string>{"a, \"b\"", "1.5", "0.1", "1500000000000"}));
  EXPECT_EQ(rows[2], (std::vector<std::string>{"c|d", "", "1e+300", "7"}));
}

TEST(Table, CsvKeepsAnyText) {
  EXPECT_TRUE(rc::check("fields survive", [] {
    const auto text = rc::gen::container<std::string>(
        rc::gen::element('a', ' ', ',', '"', '\n', '\r', ';', '\t'));
    Table table;
    table.columns = {{"x", "x", Unit::kText}, {"y", "y", Unit::kText}};
    const std::string x = *text, y = *text;
    table.rows = {{x, y}};
    const auto rows = ParseCsv(RenderCsv(table));
    RC_ASSERT(rows.size() == 2u);
    RC_ASSERT(rows[1] == (std::vector<std::string>{x, y}));
  }));
}

TEST(Table, WrappingKeepsWordsAndWidth) {
  EXPECT_TRUE(rc::check("words in order, lines in width", [] {
    const auto words = *rc::gen::container<std::vector<std::string>>(rc::gen::nonEmpty(
        rc::gen::container<std::string>(rc::gen::inRange('a', static_cast<char>('z' + 1)))));
    const int indent = *rc::gen::inRange(0, 5), width = *rc::gen::inRange(10, 40);
    std::string text, joined, read;
    for (const std::string& word : words) text += word + " ", joined += word;
    for (const std::string& line : LinesOf(WrapText(text, indent, width))) {
      const bool one_word = line.find(' ', static_cast<size_t>(indent)) == std::string::npos;
      RC_ASSERT(one_word || line.size() <= static_cast<size_t>(width));
      for (const char c : line) {
        if (c != ' ') read += c;
      }
    }
    RC_ASSERT(read == joined);
  }));
}

}  // namespace
}  // namespace shardwise
