// A list that is nearly always short, as the mesh axes of a dimension are. Its first N elements
// live inside it, so that a sharding or an index rule does not allocate for each dimension.
#pragma once

#ifdef __clang__
#include <absl/container/inlined_vector.h>
#else
// GCC 12 cannot see that the inline storage is read only as far as it is filled.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <absl/container/inlined_vector.h>
#pragma GCC diagnostic pop
#endif

namespace shardwise {

template <class T, size_t N = 4>
using ShortList = absl::InlinedVector<T, N>;

}  // namespace shardwise
