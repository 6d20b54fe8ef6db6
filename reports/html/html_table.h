// Tables of a report as HTML tables, which page/tables.js lets readers sort, filter and copy.
#pragma once

#include <string>
#include <string_view>

#include "reports/html/page.h"
#include "reports/table.h"

namespace shardwise {

struct HtmlTableOptions {
  std::string id;       // of the element; unique in the page, and the name of permalinks
  std::string caption;  // plain text
  // Columns without a label too, under their id, as long as any cell is filled; otherwise only
  // labelled ones.
  bool wide = false;
  // Id or label of a column of numbers or times, negative ones too, that gets a bar beside it, and
  // of the column whose text is the bar's category; "": none.
  std::string bar = "", category = "";
  bool stacked = false;   // every bar begins where the one before ended,
  double stack_from = 0;  // the first one here
  bool has_sum = false;   // the last row sums up the others
};

// The first rows are in the returned text, for paper and for browsers without scripts. Of a long
// table the others are added to `page.data`, from where page/tables.js takes them.
std::string HtmlTable(const Table& table, const HtmlTableOptions& options, Page& page);

// Class of the colour and pattern of a category, "k-matmul"; "k-other" for what has none of its
// own. Names of op classes, causes, bars of the waterfall and roles of buffers.
std::string CategoryClass(std::string_view category);

// A horizontal bar from `from` to `to`, fractions of the width it is given.
std::string HtmlBar(double from, double to, std::string_view category);

}  // namespace shardwise
