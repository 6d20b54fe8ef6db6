#include "apps/cli/verbs.h"
#include "reports/listings.h"
#include "reports/render_json.h"
#include "reports/table.h"

namespace shardwise {
namespace {

// One paragraph an operation: tables of sentences do not fit a terminal.
std::string OpsText(const Table& ops) {
  constexpr int kWidth = 80;
  const auto cell = [&](const std::vector<Cell>& row, std::string_view id) {
    return std::get<std::string>(row[static_cast<size_t>(ops.Find(id))]);
  };
  std::string out;
  for (const std::vector<Cell>& row : ops.rows) {
    out += cell(row, "name") + "  (" + cell(row, "class") + ", " + cell(row, "kind") +
           ", differentiable: " + cell(row, "differentiable") + ")\n";
    out += WrapText(cell(row, "doc"), 4, kWidth);
  }
  return out;
}

class OpsVerb : public Verb {
 public:
  void Bind(OptionParser& parser) override {
    parser.AddFormat({Format::kText, Format::kMarkdown, Format::kJson, Format::kCsv}, format_);
  }

  StatusOr<int> Run(const OptionParser& parser, const Console& io) override {
    SW_RETURN_IF_ERROR(parser.TakesNoArguments());
    const Table ops = BuildOpTable();
    switch (format_) {
      case Format::kJson:
        return Emit(RenderJson(ops), "-", io);
      case Format::kCsv:
        return Emit(RenderCsv(ops), "-", io);
      case Format::kMarkdown:
        return Emit(
            "# Operations\n\nEvery operation a program can consist of.\n\n" + RenderMarkdown(ops),
            "-", io);
      default:  // text
        break;
    }
    return Emit(OpsText(ops), "-", io);
  }

 private:
  Format format_ = Format::kText;
};

}  // namespace

constinit const VerbInfo kOpsVerb = {.name = "ops",
                                     .summary = "the operations a program can consist of",
                                     .help = R"(shardwise ops [options]

Lists the operations a program can consist of: class, kind, what each computes,
whether it has a derivative, an index rule and a decomposition into primitives.

  --format FORMAT   text (default), markdown, json, or csv
  -h, --help        prints this text

Example:
  shardwise ops --format markdown
)",
                                     .make = MakeVerb<OpsVerb>};

}  // namespace shardwise
