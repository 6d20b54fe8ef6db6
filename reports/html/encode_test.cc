#include "reports/html/encode.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <zlib.h>

#include <string>

#include "reports/html/markup_checker.h"

namespace shardwise {
namespace {

std::string Unescape(std::string text) {
  const std::pair<std::string, std::string> kEntities[] = {
      {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&amp;", "&"}};
  for (const auto& [entity, character] : kEntities) {
    for (size_t at = 0; (at = text.find(entity, at)) != std::string::npos; ++at) {
      text.replace(at, entity.size(), character);
    }
  }
  return text;
}

std::string Gunzip(const std::string& packed) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string out(1 << 20, '\0'), input = packed;
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

// The tests of pages rest on it.
TEST(MarkupChecker, FindsWhatBrowsersForgive) {
  EXPECT_EQ(MarkupComplaint("<!DOCTYPE html><p id=\"a\">x &lt; y<br/></p><script>a<b</script>"),
            "");
  for (const char* wrong :
       {"<p>", "</p>", "<p><b></p></b>", "<p a=b></p>", "<p a=\"1\" a=\"2\"></p>", "a > b",
        "a &nbsp; b", "<p id=\"a\"></p><p id=\"a\"></p>", "<p style=\"x\"></p>",
        "<p onclick=\"x\"></p>", "<a href=\"https://example.com\">x</a>", "<script>", "a\x01",
        "<p a=\"<\"></p>", "<!-- "}) {
    EXPECT_NE(MarkupComplaint(wrong), "") << wrong;
  }
}

TEST(Encode, MarkupBecomesText) {
  EXPECT_EQ(HtmlEscape("</script><img src=x onerror='a()'>&\""),
            "&lt;/script&gt;&lt;img src=x onerror=&#39;a()&#39;&gt;&amp;&quot;");
}

TEST(Encode, WhatIsNoTextIsReplaced) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(HtmlEscape(std::string("a\0b\x1b\x7f", 5)), "a" + r + "b" + r + r);
  EXPECT_EQ(HtmlEscape("\xC3\x28 \xED\xA0\x80 \xC0\x80 \xF8"),  // no pair, surrogate, too long
            r + "( " + r + r + r + " " + r + r + " " + r);
  EXPECT_EQ(HtmlEscape("\xE2\x82"), r + r);  // cut off
  EXPECT_EQ(HtmlEscape("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"),
            "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
}

TEST(Encode, DirectionIsNotTurned) { EXPECT_EQ(HtmlEscape("a\xE2\x80\xAE\x62"), "a[U+202E]b"); }

RC_GTEST_PROP(Encode, AnyBytesAreWellFormedContent, (const std::string& bytes)) {
  const std::string escaped = HtmlEscape(bytes);
  RC_ASSERT(MarkupComplaint("<p id=\"" + escaped + "\">" + escaped + "</p>") == "");
}

RC_GTEST_PROP(Encode, PlainTextIsReadBack, ()) {
  const auto text = *rc::gen::container<std::string>(rc::gen::inRange<char>(0x20, 0x7F));
  RC_ASSERT(Unescape(HtmlEscape(text)) == text);
}

// RFC 4648, section 10.
TEST(Encode, Base64EqualsPublishedVectors) {
  const std::string texts[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
  const std::string expected[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
  for (size_t i = 0; i < 7; ++i) EXPECT_EQ(Base64(texts[i]), expected[i]);
}

RC_GTEST_PROP(Encode, GzipIsReadBack, (const std::string& bytes)) {
  RC_ASSERT(Gunzip(Gzip(bytes)) == bytes);
}

// Of the specification: https://www.w3.org/TR/CSP2/#script-src-hash-usage
TEST(Encode, PolicyHashEqualsPublishedExample) {
  EXPECT_EQ(CspHash("alert('Hello, world.');"),
            "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=");
}

}  // namespace
}  // namespace shardwise
