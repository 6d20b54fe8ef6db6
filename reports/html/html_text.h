// Pieces of a page that are text.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shardwise {

// All take plain text and return HTML.
std::string Heading(std::string_view text);
std::string Paragraph(std::string_view text, std::string_view css_class = "");
// A list under a heading; "" when there are no items.
std::string ListHtml(std::string_view heading, const std::vector<std::string>& items);
// Terms and what they are, as a list of definitions.
std::string PairsHtml(const std::vector<std::pair<std::string, std::string>>& pairs);

}  // namespace shardwise
