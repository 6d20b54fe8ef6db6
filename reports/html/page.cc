#include "reports/html/page.h"

#include <fmt/format.h>

#include "kernels/base/check.h"
#include "kernels/base/embedded.h"
#include "reports/html/encode.h"
#include "reports/version.h"

namespace shardwise {
namespace {

std::string Head(const Page& page, std::string_view script, std::string_view style) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
      "<meta name=\"referrer\" content=\"no-referrer\"/>\n"
      "<meta name=\"generator\" content=\"shardwise {}\"/>\n<title>{}</title>\n<style>{}</style>\n"
      "</head>\n",
      CspHash(script), CspHash(style), kToolVersion, HtmlEscape(page.title), style);
}

std::string Top(const Page& page) {
  std::string out = fmt::format(
      "<div class=\"top\"><h1>{}</h1>\n<div class=\"tools only-js\">"
      "<button type=\"button\" id=\"theme\" aria-pressed=\"false\">Dark</button> "
      "<button type=\"button\" id=\"print\">Print</button>",
      HtmlEscape(page.heading));
  if (!page.save_as.empty()) {
    out += fmt::format(" <button type=\"button\" id=\"save\" data-name=\"{}\">Save JSON</button>",
                       HtmlEscape(page.save_as));
  }
  return out + "</div></div>\n";
}

std::string Tabs(const Page& page) {
  std::string out = "<nav aria-label=\"Sections\"><div id=\"tabs\">\n";
  for (const PageSection& section : page.sections) {
    out += fmt::format("<a id=\"tab-{0}\" href=\"#s-{0}\">{1}</a>\n", HtmlEscape(section.id),
                       HtmlEscape(section.title));
  }
  return out + "</div></nav>\n";
}

std::string Section(const PageSection& section) {
  return fmt::format(
      "<section id=\"s-{0}\" aria-labelledby=\"h-{0}\">\n<h2 "
      "id=\"h-{0}\">{1}</h2>\n{2}</section>\n",
      HtmlEscape(section.id), HtmlEscape(section.title), section.body);
}

}  // namespace

std::string_view PageAsset(std::string_view name) {
  const auto text = FindEmbedded(fmt::format("reports/html/page/{}", name));
  SW_CHECK(text.has_value(), "{} is not embedded", name);
  return *text;
}

std::string RenderPage(const Page& page) {
  const std::string_view style = PageAsset("page.css");
  std::string script;
  for (const std::string_view name : page.scripts) script += PageAsset(name);

  std::string out = Head(page, script, style);
  out += "<body>\n<a class=\"skip\" href=\"#main\">Skip to the report</a>\n";
  out += PageAsset("patterns.svg");
  out += fmt::format("<header>\n{}{}</header>\n{}<main id=\"main\" tabindex=\"-1\">\n", Top(page),
                     page.header, Tabs(page));
  for (const PageSection& section : page.sections) out += Section(section);
  out += fmt::format(
      "</main>\n<footer><p>Written by shardwise {}. One file, no request to any server; everything "
      "in it is of this project, under Apache-2.0.</p></footer>\n",
      kToolVersion);
  for (const auto& [id, bytes] : page.data) {
    out += fmt::format("<script type=\"application/gzip\" id=\"{}\">{}</script>\n", HtmlEscape(id),
                       Base64(Gzip(bytes)));
  }
  return out + fmt::format("<script>{}</script>\n</body>\n</html>\n", script);
}

}  // namespace shardwise
