#include "reports/html/html_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "reports/format.h"
#include "reports/html/encode.h"

namespace shardwise {
namespace {

constexpr size_t kInlineRows = 60;

bool IsFilled(const Table& table, size_t column) {
  return std::any_of(table.rows.begin(), table.rows.end(), [&](const std::vector<Cell>& row) {
    const auto* text = std::get_if<std::string>(&row[column]);
    return text != nullptr ? !text->empty() : !std::holds_alternative<std::monostate>(row[column]);
  });
}

std::vector<size_t> ShownColumns(const Table& table, bool wide) {
  std::vector<size_t> shown;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    const Column& column = table.columns[c];
    const bool labelled = !column.label.empty();
    if (wide ? !column.id.empty() && (labelled || IsFilled(table, c)) : labelled) {
      shown.push_back(c);
    }
  }
  return shown;
}

// As in plain text, but for plain numbers too long to read: "427.4 T".
std::string ShownText(const Cell& cell, Unit unit) {
  constexpr double kLong = 1e9;
  const auto* number = std::get_if<double>(&cell);
  if (unit != Unit::kNumber || number == nullptr || *number < kLong) return CellText(cell, unit);
  return FormatRate(*number, "");
}

const std::string& Heading(const Column& column) {
  return column.label.empty() ? column.id : column.label;
}

// Position of the column called `name`, -1 if none.
int FindColumn(const Table& table, const std::string& name) {
  for (size_t c = 0; c < table.columns.size() && !name.empty(); ++c) {
    if (table.columns[c].id == name || table.columns[c].label == name) return static_cast<int>(c);
  }
  return -1;
}

class TableWriter {
 public:
  TableWriter(const Table& table, const HtmlTableOptions& options)
      : table_(table),
        options_(options),
        shown_(ShownColumns(table, options.wide)),
        bar_(FindColumn(table, options.bar)),
        category_(FindColumn(table, options.category)) {
    double end = low_ = high_ = stacked_;
    for (const std::vector<Cell>& row : table.rows) {
      if (IsSum(row)) break;
      end = options.stacked ? end + Amount(row) : Amount(row);
      low_ = std::min(low_, end);
      high_ = std::max(high_, end);
    }
  }

  std::string Write(Page& page) {
    const std::string id = HtmlEscape(options_.id), caption = HtmlEscape(options_.caption);
    out_ += fmt::format(
        "<div class=\"table{}\" id=\"{}\">\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" "
        "aria-label=\"{}\">\n<table>\n<caption>{}</caption>\n<thead><tr>",
        options_.wide ? " wide" : "", id, caption, caption);
    for (const size_t c : shown_) AddHeading(c);
    out_ += "</tr></thead>\n<tbody>\n";
    const size_t rows = std::min(table_.rows.size(), kInlineRows);
    for (size_t r = 0; r < rows; ++r) AddRow(table_.rows[r]);
    out_ += "</tbody>\n</table>\n</div>\n";
    if (rows < table_.rows.size()) {
      out_ += fmt::format("<p class=\"note rest\" data-rows=\"{0}-rows\">{1} of {2} rows</p>\n", id,
                          FormatCount(static_cast<int64_t>(rows)),
                          FormatCount(static_cast<int64_t>(table_.rows.size())));
    }
    std::string table = std::move(out_) + "</div>\n";
    out_.clear();
    for (size_t r = rows; r < table_.rows.size(); ++r) AddRow(table_.rows[r]);
    if (!out_.empty()) page.data.emplace_back(options_.id + "-rows", std::move(out_));
    return table;
  }

 private:
  bool IsSum(const std::vector<Cell>& row) const {
    return options_.has_sum && &row == &table_.rows.back();
  }

  double Amount(const std::vector<Cell>& row) const {
    if (bar_ < 0) return 0;
    if (const auto* time = std::get_if<Duration>(&row[bar_])) return time->seconds();
    if (const auto* count = std::get_if<int64_t>(&row[bar_])) return static_cast<double>(*count);
    const auto* value = std::get_if<double>(&row[bar_]);
    return value == nullptr ? 0 : *value;
  }

  void AddHeading(size_t c) {
    const Column& column = table_.columns[c];
    // Copies are headed by the id, which names the unit.
    const std::string id = column.id.empty() || column.id == Heading(column)
                               ? ""
                               : fmt::format(" data-id=\"{}\"", HtmlEscape(column.id));
    out_ += fmt::format("<th scope=\"col\"{}{}>{}</th>",
                        column.unit == Unit::kText ? " class=\"t\"" : "", id,
                        HtmlEscape(Heading(column)));
    if (static_cast<int>(c) == bar_) out_ += "<td class=\"bar\"></td>";
  }

  void AddRow(const std::vector<Cell>& row) {
    out_ += IsSum(row) ? "<tr class=\"sum\">" : "<tr>";
    for (const size_t c : shown_) {
      AddCell(row[c], table_.columns[c].unit);
      if (static_cast<int>(c) == bar_) AddBar(row);
    }
    out_ += "</tr>\n";
  }

  void AddCell(const Cell& cell, Unit unit) {
    const std::string text = ShownText(cell, unit), exact = CellExact(cell, unit);
    if (unit == Unit::kText) {
      // A text column may hold numbers; they are shown as they are copied.
      out_ += fmt::format("<td class=\"t\">{}</td>", HtmlEscape(text));
    } else if (text == exact) {
      out_ += fmt::format("<td>{}</td>", HtmlEscape(text));
    } else {
      out_ += fmt::format("<td data-v=\"{}\">{}</td>", HtmlEscape(exact), HtmlEscape(text));
    }
  }

  void AddBar(const std::vector<Cell>& row) {
    if (IsSum(row)) {
      out_ += "<td class=\"bar\"></td>";
      return;
    }
    const std::string category = category_ < 0 ? "" : CellText(row[category_], Unit::kText);
    const double from = options_.stacked ? stacked_ : 0, to = from + Amount(row);
    stacked_ = to;
    const double scale = high_ > low_ ? 1 / (high_ - low_) : 0;
    out_ += fmt::format("<td class=\"bar\">{}</td>",
                        HtmlBar((from - low_) * scale, (to - low_) * scale, category));
  }

  const Table& table_;
  const HtmlTableOptions& options_;
  const std::vector<size_t> shown_;
  const int bar_, category_;
  double low_ = 0, high_ = 0;  // amounts at the ends of the bars' width
  double stacked_ = options_.stacked ? options_.stack_from : 0;  // where the next bar begins
  std::string out_;
};

}  // namespace

std::string HtmlTable(const Table& table, const HtmlTableOptions& options, Page& page) {
  return TableWriter(table, options).Write(page);
}

std::string CategoryClass(std::string_view category) {
  // Those with a colour and a pattern of their own in page/patterns.svg.
  constexpr std::array<std::string_view, 26> kOwn = {
      "matmul",          "attention", "norm",      "pointwise",     "reduction", "indexing",
      "layout",          "loss",      "optimizer", "communication", "wait",      "overhead",
      "contention",      "ideal",     "loop",      "padding",       "remat",     "parameter",
      "optimizer_state", "batch",     "residual",  "stacked",       "carry",     "collective",
      "temporary",       "output"};
  constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kAlso = {{
      {"iteration", "loop"},
      {"step", "loop"},
      {"clock", "padding"},
      {"mxu_padding", "padding"},
      {"mxu_rate", "padding"},
      {"products_memory", "pointwise"},
      {"attention_vector", "attention"},
      {"vector", "pointwise"},
      {"rematerialisation", "remat"},
      {"launch", "overhead"},
      {"kernel overhead", "overhead"},
      {"waits: collectives", "wait"},
      {"mxu", "matmul"},
      {"vpu", "pointwise"},
      {"hbm", "indexing"},
      {"dcn", "communication"},
  }};
  for (const std::string_view name : kOwn) {
    if (category == name) return fmt::format("k-{}", name);
  }
  for (const auto& [name, as] : kAlso) {
    if (category == name) return fmt::format("k-{}", as);
  }
  for (const std::string_view link : {"ici-", "die-to-die", "pcie-"}) {
    if (category.starts_with(link)) return "k-communication";
  }
  return category.starts_with("wait") ? "k-wait" : "k-other";
}

std::string HtmlBar(double from, double to, std::string_view category) {
  return fmt::format(
      "<svg class=\"bar\" width=\"100%\" height=\"12\" aria-hidden=\"true\"><rect "
      "x=\"{:.3f}%\" width=\"{:.3f}%\" height=\"12\" class=\"{}\"/></svg>",
      100 * std::min(from, to), 100 * std::abs(to - from), CategoryClass(category));
}

}  // namespace shardwise
