// One offline page: everything inline, no request of any kind, script and style allowed by hash.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shardwise {

// A part of the page behind a tab of its own. `body` is HTML.
struct PageSection {
  std::string id, title;
  std::string body;
};

struct Page {
  std::string title;    // plain text, here and below
  std::string heading;  // above everything
  std::string save_as;  // name of the file that the data "data-json" is saved as; "": there is none
  std::string header;   // HTML, below the heading
  std::vector<PageSection> sections;
  std::vector<std::string_view> scripts;  // files of reports/html/page, in order
  // Bytes that scripts read: id, content. Packed into the page.
  std::vector<std::pair<std::string, std::string>> data;
};

// Text of a file of reports/html/page; CHECKs that there is one.
std::string_view PageAsset(std::string_view name);

std::string RenderPage(const Page& page);

}  // namespace shardwise
