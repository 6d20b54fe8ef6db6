#include "apps/cli/man_page.h"

#include <fmt/format.h>

#include <cctype>
#include <string_view>

#include "apps/cli/verbs.h"
#include "reports/version.h"

namespace shardwise {
namespace {

// Text that roff prints as it is.
std::string Escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";  // else a hyphen, which cannot be pasted into a shell
    } else {
      out += c;
    }
  }
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string_view Trimmed(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return line;
}

std::string Upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

// One verb's help: usage lines, then paragraphs, options ("  --name   text") and examples
// (indented lines below one that ends in ":").
class HelpToRoff {
 public:
  std::string Convert(std::string_view help) {
    while (!help.empty()) {
      const size_t end = std::min(help.find('\n'), help.size());
      Line(help.substr(0, end));
      help.remove_prefix(std::min(end + 1, help.size()));
    }
    Leave();
    return std::move(out_);
  }

 private:
  enum class In { kUsage, kText, kOption, kLiteral };

  void Line(std::string_view line) {
    if (line.empty()) {
      Leave();
      in_ = In::kText;
      out_ += ".PP\n";
    } else if (in_ == In::kUsage) {
      out_ += fmt::format(".B {}\n.br\n", Escaped(line));
    } else if (!line.starts_with("  ")) {
      Leave();
      in_ = In::kText;
      after_colon_ = line.ends_with(':');
      out_ += Escaped(line) + "\n";
    } else if (in_ == In::kLiteral || (in_ == In::kText && after_colon_)) {
      if (in_ != In::kLiteral) out_ += ".nf\n";
      in_ = In::kLiteral;
      out_ += Escaped(line) + "\n";
    } else if (line[2] == '-') {
      Option(line.substr(2));
    } else {
      out_ += Escaped(Trimmed(line)) + "\n";
    }
  }

  // "--format FORMAT   text (default), ..."
  void Option(std::string_view line) {
    const size_t gap = std::min(line.find("  "), line.size());
    // A name that fills its column is followed by one space only.
    const size_t end = gap == line.size() ? std::min(line.rfind(' ', 18), line.size()) : gap;
    out_ += fmt::format(".TP\n.B {}\n", Escaped(line.substr(0, end)));
    const std::string_view text = Trimmed(line.substr(end));
    if (!text.empty()) out_ += Escaped(text) + "\n";
    in_ = In::kOption;
  }

  void Leave() {
    if (in_ == In::kLiteral) out_ += ".fi\n";
    in_ = in_ == In::kUsage ? In::kUsage : In::kText;
  }

  In in_ = In::kUsage;
  bool after_colon_ = false;
  std::string out_;
};

}  // namespace

std::string ManPage() {
  std::string out = fmt::format(
      ".TH SHARDWISE 1 \"\" \"shardwise {}\" \"User Commands\"\n.SH NAME\n"
      "shardwise \\- simulates and prices sharded TPU training steps\n.SH SYNOPSIS\n"
      ".B shardwise\n.I VERB\n[arguments]\n.SH DESCRIPTION\n"
      "Says how long one training step of a MaxText configuration takes on a TPU slice, what it "
      "holds in memory, and why.\nResults go to standard output, everything else to standard "
      "error.\n",
      kToolVersion);
  for (const VerbInfo* verb : Verbs()) {
    out += fmt::format(".SH {}\n{}", Upper(verb->name), HelpToRoff().Convert(verb->help));
  }
  out +=
      ".SH ENVIRONMENT\n.TP\n.B LIBTPU_INIT_ARGS\nFlags of the TPU compiler, below those of files "
      "and options.\n.SH EXIT STATUS\n";
  for (const auto& [code, meaning] : {std::pair{kExitOk, "done"},
                                      {1, "a check failed"},
                                      {kExitUsage, "bad usage or configuration"},
                                      {kExitDoesNotFit, "valid, but does not fit into memory"},
                                      {kExitNotModelled, "valid, but not modelled"},
                                      {kExitIo, "cannot read or write"},
                                      {kExitInternal, "internal error; please report it"}}) {
    out += fmt::format(".TP\n.B {}\n{}\n", code, meaning);
  }
  return out;
}

}  // namespace shardwise
