// How numbers are written for people. One formatter per kind of quantity, so that a unit is spelled
// the same way wherever it appears. SI prefixes for bytes and rates; sizes of memory in GiB, and
// labelled so. What a number keeps is four significant digits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/base/quantity.h"

namespace shardwise {

std::string FormatTime(Duration time);  // "12.20 s", "8.120 ms", "15.30 us", "870 ps"
std::string FormatBytes(double bytes);  // "137.4 GB", powers of 1000
std::string FormatGiB(int64_t bytes);   // "63.80 GiB"; below 0.01 GiB "3.25 MiB", "0.50 KiB"
std::string FormatRate(double value, std::string_view unit);  // "1.207 PFLOP/s", "89.00 GB/s"
std::string FormatPercent(double fraction);                   // "25.6 %"
std::string FormatSignedPercent(double fraction);             // "-2.4 %", "+0.0 %"
std::string FormatCount(int64_t value);                       // "2,097,152"
// Shortest decimal text that reads back as the same double; "0" for what is not finite.
std::string FormatExact(double value);

}  // namespace shardwise
