// How much of the square of scores a kernel of compressed_attention works on.
#include <algorithm>

#include "model/ops/attention_tiles.h"
#include "model/ops/compressed_attention.h"

namespace shardwise::compressed_attention {

// The entries grow by one every `ratio` queries until there are `most`.
double CompletePairs(int64_t queries, int64_t ratio, int64_t most) {
  const int64_t steps = std::min(queries / ratio, most);
  const int64_t growing = std::max<int64_t>(0, steps - 1) * steps / 2 * ratio;
  const int64_t after = queries - (steps * ratio - 1);  // queries that have the last number
  return static_cast<double>(growing) + static_cast<double>(steps) * static_cast<double>(after);
}

double WindowShare(int64_t queries, int64_t tokens, int64_t window, int64_t block_q,
                   int64_t block_kv) {
  if (window == 0) return 0;
  return VisitedShare(
      {queries, tokens, block_q, block_kv},
      [&](int64_t query) { return FirstOfWindow(query, window); },
      [&](int64_t query) { return std::min(query + 1, tokens); });
}

double CompleteShare(int64_t queries, int64_t entries, int64_t ratio, int64_t block_q,
                     int64_t block_kv) {
  return VisitedShare(
      {queries, entries, block_q, block_kv}, [](int64_t) { return 0; },
      [&](int64_t query) { return std::min((query + 1) / ratio, entries); });
}

double SelectedShare(int64_t queries, int64_t entries, int64_t ratio, int64_t selected) {
  if (queries == 0 || entries == 0) return 1;
  return CompletePairs(queries, ratio, std::min(selected, entries)) /
         (static_cast<double>(queries) * static_cast<double>(entries));
}

double VisitedFraction(const CompressedAttentionAttrs& attrs, const Extents& x, int64_t block_q,
                       int64_t block_kv) {
  if (attrs.dense || x.keys() == 0) return 1;
  const double tokens = WindowShare(std::max(x.s, x.t), x.t, attrs.window, block_q, block_kv) *
                        static_cast<double>(x.t);
  if (x.c == 0) return tokens / static_cast<double>(x.keys());
  const int64_t queries = std::max(x.s, x.c * attrs.ratio);
  const double share = attrs.selected > 0
                           ? SelectedShare(queries, x.c, attrs.ratio, attrs.selected)
                           : CompleteShare(queries, x.c, attrs.ratio, block_q, block_kv);
  return (tokens + share * static_cast<double>(x.c)) / static_cast<double>(x.keys());
}

}  // namespace shardwise::compressed_attention
