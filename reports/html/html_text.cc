#include "reports/html/html_text.h"

#include <fmt/format.h>

#include "reports/html/encode.h"

namespace shardwise {

std::string Heading(std::string_view text) {
  return fmt::format("<h3>{}</h3>\n", HtmlEscape(text));
}

std::string Paragraph(std::string_view text, std::string_view css_class) {
  return fmt::format("<p{}>{}</p>\n",
                     css_class.empty() ? "" : fmt::format(" class=\"{}\"", css_class),
                     HtmlEscape(text));
}

std::string ListHtml(std::string_view heading, const std::vector<std::string>& items) {
  if (items.empty()) return "";
  std::string out = Heading(heading) + "<ul>\n";
  for (const std::string& item : items) out += fmt::format("<li>{}</li>\n", HtmlEscape(item));
  return out + "</ul>\n";
}

std::string PairsHtml(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string out = "<dl class=\"pairs\">\n";
  for (const auto& [term, text] : pairs) {
    out += fmt::format("<dt>{}</dt><dd>{}</dd>\n", HtmlEscape(term), HtmlEscape(text));
  }
  return out + "</dl>\n";
}

}  // namespace shardwise
