// The tiles of scores that flash kernels visit.
#pragma once

#include <algorithm>
#include <cstdint>

namespace shardwise {

// Scores of queries x keys, cut into tiles of block_q x block_kv (0: untiled).
struct ScoreTiles {
  int64_t queries, keys, block_q, block_kv;
};

// Share of the tiles that are visited, where query i sees the keys [first(i), end(i)), both never
// decreasing in i and end(i) at most `keys`.
template <class First, class End>
double VisitedShare(const ScoreTiles& x, First first, End end) {
  if (x.block_q <= 0 || x.block_kv <= 0 || x.queries == 0 || x.keys == 0) return 1;
  const int64_t q_tiles = (x.queries + x.block_q - 1) / x.block_q;
  const int64_t kv_tiles = (x.keys + x.block_kv - 1) / x.block_kv;
  int64_t visited = 0;
  for (int64_t tile = 0; tile < q_tiles; ++tile) {
    const int64_t first_query = tile * x.block_q;
    const int64_t last_query = std::min(first_query + x.block_q, x.queries) - 1;
    const int64_t from = first(first_query), until = end(last_query);
    if (from < until) visited += (until - 1) / x.block_kv - from / x.block_kv + 1;
  }
  return static_cast<double>(visited) / static_cast<double>(q_tiles * kv_tiles);
}

// The first key of a window of so many keys up to the query's own.
inline int64_t FirstOfWindow(int64_t query, int64_t window) {
  return std::max<int64_t>(0, query - window + 1);
}

}  // namespace shardwise
