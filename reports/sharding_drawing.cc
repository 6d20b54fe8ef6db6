#include "reports/sharding_drawing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace shardwise {
namespace {

constexpr size_t kDevicesNamed = 4;  // in one box
constexpr int kLeftOut = -1;         // a row or column that stands for many

// Lines of a frame. Corners and joints go by row (top, inner, bottom) and column (left, inner,
// right).
struct Frame {
  std::string_view horizontal, vertical, joints[3][3], more_across, more_down;
};
constexpr Frame kLines = {"─", "│", {{"┌", "┬", "┐"}, {"├", "┼", "┤"}, {"└", "┴", "┘"}}, "⋯", "⋮"};
constexpr Frame kAscii = {
    "-", "|", {{"+", "+", "+"}, {"+", "+", "+"}, {"+", "+", "+"}}, "...", ":"};

// Columns a text takes; every code point here takes one.
size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string Repeated(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

std::string Centered(std::string_view text, size_t width) {
  const size_t spare = width - std::min(width, Width(text));
  return std::string(spare / 2, ' ') + std::string(text) + std::string(spare - spare / 2, ' ');
}

// Indices shown of `count`: all, or the first ones, a gap, and the last.
std::vector<int> Shown(int64_t count, int most) {
  std::vector<int> shown;
  for (int i = 0; i < count; ++i) {
    if (count > most && i == most - 2) shown.push_back(kLeftOut);
    if (count <= most || i < most - 2 || i == count - 1) shown.push_back(i);
  }
  return shown;
}

class Drawing {
 public:
  Drawing(const TensorType& type, const Sharding& sharding, const Placement& placement,
          const DrawingOptions& options)
      : type_(type),
        sharding_(sharding),
        placement_(placement),
        options_(options),
        frame_(options.ascii ? kAscii : kLines) {}

  StatusOr<std::string> Draw() {
    SW_RETURN_IF_ERROR(ChooseDims());
    FillBoxes();
    const std::vector<int> rows = Shown(Blocks(down_), options_.max_rows);
    const std::vector<int> columns = Shown(Blocks(across_), options_.max_columns);
    size_t width = 0;
    for (int r : rows) {
      for (int c : columns) width = std::max(width, Width(Label(r, c)) + 2);
    }
    std::string out = Heading() + Rule(0, columns, width);
    for (size_t r = 0; r < rows.size(); ++r) {
      if (r > 0) out += Rule(1, columns, width);
      for (int c : columns) {
        out += fmt::format("{}{}", frame_.vertical, Centered(Label(rows[r], c), width));
      }
      out += fmt::format("{}\n", frame_.vertical);
    }
    return out + Rule(2, columns, width) + Footnote();
  }

 private:
  int64_t Blocks(int dim) const {
    int64_t blocks = 1;
    if (dim < 0) return blocks;
    for (int axis : sharding_.dims[static_cast<size_t>(dim)]) {
      blocks *= placement_.mesh.axes[static_cast<size_t>(axis)].size;
    }
    return blocks;
  }

  Status ChooseDims() {
    const int rank = type_.rank();
    if (rank == 0) return InvalidArgument("a scalar has no dimensions to draw");
    if (options_.dims) {
      std::tie(down_, across_) = *options_.dims;
      if (std::min(down_, across_) >= 0 && std::max(down_, across_) < rank && down_ != across_) {
        return absl::OkStatus();
      }
      return InvalidArgument("--dims {},{}: the dimensions of {} are 0 to {}", down_, across_,
                             type_.ToText(), rank - 1);
    }
    std::vector<int> chosen;
    for (int d = 0; d < rank; ++d) {
      if (Blocks(d) > 1) chosen.push_back(d);
    }
    if (chosen.size() > 2) {
      return InvalidArgument("dimensions {} of {} are split; --dims i,j says which two to draw",
                             fmt::join(chosen, ", "), type_.ToText());
    }
    for (int d = 0; d < rank && chosen.size() < 2; ++d) {
      if (std::find(chosen.begin(), chosen.end(), d) == chosen.end()) chosen.push_back(d);
    }
    std::sort(chosen.begin(), chosen.end());
    // One dimension lies across.
    down_ = chosen.size() == 2 ? chosen[0] : -1;
    across_ = chosen.back();
    return absl::OkStatus();
  }

  // JAX numbers devices by their place in the slice, not in the mesh.
  int64_t DeviceId(size_t device) const {
    const DevicePosition& p = placement_.devices[device];
    const auto& dims = placement_.topology.dims;
    const int64_t chip =
        ((p.slice * dims[2] + p.chip[2]) * dims[1] + p.chip[1]) * dims[0] + p.chip[0];
    return chip * placement_.topology.chip.devices + p.core;
  }

  // Block of a dimension that the device of these coordinates holds.
  int64_t BlockOf(int dim, const Dims& coordinates) const {
    int64_t block = 0;
    if (dim < 0) return block;
    for (int axis : sharding_.dims[static_cast<size_t>(dim)]) {
      const auto a = static_cast<size_t>(axis);
      block = block * placement_.mesh.axes[a].size + coordinates[a];
    }
    return block;
  }

  void FillBoxes() {
    const int64_t columns = Blocks(across_);
    boxes_.resize(static_cast<size_t>(Blocks(down_) * columns));
    for (size_t d = 0; d < placement_.devices.size(); ++d) {
      const Dims coordinates = placement_.mesh.Coordinates(static_cast<int64_t>(d));
      bool first = true;  // of the dimensions that are not drawn
      for (int dim = 0; dim < type_.rank(); ++dim) {
        if (dim != down_ && dim != across_) first = first && BlockOf(dim, coordinates) == 0;
      }
      if (!first) continue;
      const int64_t box = BlockOf(down_, coordinates) * columns + BlockOf(across_, coordinates);
      boxes_[static_cast<size_t>(box)].push_back(DeviceId(d));
    }
    for (std::vector<int64_t>& ids : boxes_) std::sort(ids.begin(), ids.end());
  }

  std::string Label(int row, int column) const {
    if (row == kLeftOut) return std::string(frame_.more_down);
    if (column == kLeftOut) return std::string(frame_.more_across);
    const auto& ids = boxes_[static_cast<size_t>(row * Blocks(across_) + column)];
    const size_t named = ids.size() > kDevicesNamed ? kDevicesNamed - 1 : ids.size();
    std::string text = fmt::format("TPU {}", fmt::join(ids.begin(), ids.begin() + named, ","));
    if (named < ids.size()) text += fmt::format(",{}{}", options_.ascii ? "..." : "…", ids.back());
    return text;
  }

  std::string Rule(int row, const std::vector<int>& columns, size_t width) const {
    std::string out(frame_.joints[row][0]);
    for (size_t c = 0; c < columns.size(); ++c) {
      out += Repeated(frame_.horizontal, width);
      out += frame_.joints[row][c + 1 < columns.size() ? 1 : 2];
    }
    return out + "\n";
  }

  std::string DimText(int dim) const {
    const int64_t extent = type_.dims[static_cast<size_t>(dim)];
    return fmt::format("dimension {} ({} in {} of {})", dim, extent, Blocks(dim),
                       extent / Blocks(dim));
  }

  std::string Heading() const {
    if (down_ < 0) return fmt::format("across: {}\n", DimText(across_));
    return fmt::format("down: {}, across: {}\n", DimText(down_), DimText(across_));
  }

  std::string Footnote() const {
    std::string out;
    for (int dim = 0; dim < type_.rank(); ++dim) {
      if (dim == down_ || dim == across_ || Blocks(dim) == 1) continue;
      out += fmt::format("first of the {} blocks of dimension {}\n", Blocks(dim), dim);
    }
    return out;
  }

  const TensorType& type_;
  const Sharding& sharding_;
  const Placement& placement_;
  const DrawingOptions& options_;
  const Frame& frame_;
  int down_ = -1, across_ = 0;               // -1: there is only one dimension
  std::vector<std::vector<int64_t>> boxes_;  // row-major: device ids
};

}  // namespace

StatusOr<std::string> DrawSharding(const TensorType& type, const Sharding& sharding,
                                   const Placement& placement, const DrawingOptions& options) {
  return Drawing(type, sharding, placement, options).Draw();
}

}  // namespace shardwise
