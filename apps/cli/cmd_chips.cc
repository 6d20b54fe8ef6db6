#include <fmt/format.h>

#include <utility>

#include "apps/cli/verbs.h"
#include "reports/listings.h"
#include "reports/render_json.h"
#include "reports/table.h"
#include "sim/machine/chip.h"

namespace shardwise {
namespace {

constexpr std::string_view kStatusText =
    "Status: published by the maker or its source code; measured by someone on hardware; compiler: "
    "printed by or fitted to the TPU compiler; assumed: an estimate. The interval holds what the "
    "sources leave open.";

// One value a paragraph: sources are sentences.
std::string ChipText(const Chip& chip) {
  constexpr int kWidth = 80;
  std::string out = fmt::format("{} ({})\n", chip.name, chip.device_kind);
  for (const SourcedValue& value : chip.sources) {
    const std::string_view unit = UnitOfChipKey(value.key);
    out += fmt::format("  {} = {}{}{}  [{}{}{}]\n", value.key, value.value, unit.empty() ? "" : " ",
                       unit, value.status, value.interval.empty() ? "" : ", ", value.interval);
    out += WrapText(value.source, 6, kWidth);
  }
  return out;
}

std::string ChipsText(const std::vector<Chip>& chips, bool details) {
  if (!details) {
    return RenderText(BuildChipOverview(chips), 0) +
           "\nshardwise chips NAME lists every number of a chip with its source\n";
  }
  std::string out;
  for (const Chip& chip : chips) out += ChipText(chip);
  return out;
}

std::string ChipsMarkdown(const std::vector<Chip>& chips) {
  constexpr int kWidth = 100;
  std::string out = "# Chips\n\n" + WrapText(kStatusText, 0, kWidth) + "\n" +
                    RenderMarkdown(BuildChipOverview(chips));
  for (const Chip& chip : chips) {
    out += fmt::format("\n## {}\n\n{}", chip.name, RenderMarkdown(BuildChipTable(chip)));
  }
  return out;
}

// All chips in one table, for machines.
Table JoinedTable(const std::vector<Chip>& chips) {
  Table joined;
  for (const Chip& chip : chips) {
    Table one = BuildChipTable(chip);
    if (joined.columns.empty()) {
      joined.columns = one.columns;
      joined.columns.insert(joined.columns.begin(), {"chip", "chip", Unit::kText});
    }
    for (std::vector<Cell>& row : one.rows) {
      row.insert(row.begin(), chip.name);
      joined.rows.push_back(std::move(row));
    }
  }
  return joined;
}

class ChipsVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    parser.AddFormat({Format::kText, Format::kMarkdown, Format::kJson, Format::kCsv}, format_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    std::vector<Chip> chips;
    for (const std::string& name : parser.rest().empty() ? ChipNames() : parser.rest()) {
      SW_ASSIGN_OR_RETURN(Chip chip, LoadChip(name));
      chips.push_back(std::move(chip));
    }
    switch (format_) {
      case Format::kJson:
        return Emit(RenderJson(JoinedTable(chips)), "-", io);
      case Format::kCsv:
        return Emit(RenderCsv(JoinedTable(chips)), "-", io);
      case Format::kMarkdown:
        return Emit(ChipsMarkdown(chips), "-", io);
      default:  // text
        break;
    }
    return Emit(ChipsText(chips, !parser.rest().empty()), "-", io);
  }

 private:
  Format format_ = Format::kText;
};

}  // namespace

constinit const VerbInfo kChipsVerb = {
    .name = "chips",
    .summary = "every number known about a chip, with its source",
    .help = R"(shardwise chips [NAME]... [options]

Lists the chips, or every number known about the named ones: value, unit, where
it comes from, and whether it is published, measured, taken from the compiler,
or assumed.

  --format FORMAT   text (default), markdown, json, or csv
  -h, --help        prints this text

Example:
  shardwise chips tpu7x
)",
    .make = MakeVerb<ChipsVerb>};

}  // namespace shardwise
