// The timeline as the page's script reads it (page/timeline_data.js): a table of strings, entries
// once each, and slices in columns, all of variable-length numbers. Columns repeat from layer to
// layer, so gzip leaves one to two bytes of a slice.
#pragma once

#include <string>

#include "reports/timeline_view.h"

namespace shardwise {

std::string PackTimeline(const TimelineView& view);

// The whole step as a picture, for paper and for browsers that do not run the timeline: what each
// lane does most of in every stretch of it.
std::string TimelineSnapshot(const TimelineView& view);

}  // namespace shardwise
