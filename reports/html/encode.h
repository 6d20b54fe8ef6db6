// Text and bytes as a page can hold them.
#pragma once

#include <string>
#include <string_view>

namespace shardwise {

// `text` for element content and quoted attribute values. Bytes that are no UTF-8 and control
// characters become U+FFFD; characters that would turn the direction of writing are spelled out, so
// that what is seen is what is there.
std::string HtmlEscape(std::string_view text);

std::string Base64(std::string_view bytes);
// RFC 1952, best compression, without name and time: the same bytes for the same input.
std::string Gzip(std::string_view bytes);
// "sha256-..." as a content security policy names an inline script or style.
std::string CspHash(std::string_view text);

}  // namespace shardwise
