// Random groups for property tests: up to 16 participants on up to four dimensions.
#pragma once

#include <rapidcheck.h>

#include "sim/machine/placement.h"

namespace shardwise {

inline GroupTopology AnyGroup(int64_t largest = 16) {
  GroupTopology group;
  int64_t room = largest;
  const auto add = [&](LinkClass link, int64_t most) {
    if (room < 2) return;
    const int64_t extent = *rc::gen::inRange<int64_t>(1, std::min(most, room) + 1);
    if (extent == 1) return;
    room /= extent;
    GroupDim dim;
    dim.link = link;
    dim.extent = extent;
    dim.wrap = IsIci(link) && *rc::gen::arbitrary<bool>();
    dim.stride = IsIci(link) ? *rc::gen::inRange<int64_t>(1, 3) : 1;
    dim.share = link == LinkClass::kCore ? 1 : *rc::gen::inRange<int64_t>(1, 3);
    group.dims.push_back(dim);
  };
  add(LinkClass::kDcn, 4);
  // The pair of dies may stand before or after the torus dimensions.
  const bool die_first = *rc::gen::arbitrary<bool>();
  if (die_first) add(LinkClass::kCore, 2);
  add(LinkClass::kIciX, 9);
  add(LinkClass::kIciY, 5);
  add(LinkClass::kIciZ, 4);
  if (!die_first) add(LinkClass::kCore, 2);
  return group;
}

}  // namespace shardwise
