#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "layers/image_axes.h"
#include "layers/image_batch.h"
#include "layers/operation.h"

// Operations that read a tensor between its cells: images moved, turned and seen from elsewhere.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Function;
using program::Reshape;

struct Sampling {
  bool nearest = false;
  std::string fill_mode = "constant";
  double fill_value = 0;
};

Sampling sampling_of(Operation& op) {
  Sampling how{.nearest = false,
               .fill_mode = op.arguments().text("fill_mode", "constant"),
               .fill_value = op.arguments().number("fill_value", 0)};
  if (op.has("interpolation")) {
    const std::string name = op.arguments().text("interpolation", "bilinear");
    how.nearest = name == "nearest";
    if (!how.nearest && name != "bilinear") op.invalid("interpolation", "is no known one");
  }
  if (op.has("order")) how.nearest = op.arguments().integer("order", 1) == 0;
  return how;
}

class Sampler {
 public:
  Sampler(Operation& op, Sampling how) : op_(op), how_(std::move(how)) {}

  // The values of `cells` (..., all cells of the axes in one) at `places` (..., m), one tensor for
  // each axis, of which `sizes` are known.
  ValueId sampled(ValueId cells, std::span<const ValueId> places,
                  std::span<const std::int64_t> sizes) {
    const std::size_t corners = how_.nearest ? 1 : std::size_t{1} << places.size();
    std::optional<ValueId> sum;
    for (std::size_t corner = 0; corner < corners; ++corner) {
      std::optional<ValueId> weight;
      std::optional<ValueId> inside;
      std::optional<ValueId> index;
      for (std::size_t axis = 0; axis < places.size(); ++axis) {
        const ValueId from = how_.nearest ? add(places[axis], number(0.5)) : places[axis];
        ValueId at = op_.unary({Function::kFloor}, from);
        if (!how_.nearest) {
          const ValueId share = op_.binary(Binary::Kind::kSubtract, from, at);
          const bool upper = (corner >> axis & 1) != 0;
          const ValueId own = upper ? share : op_.binary(Binary::Kind::kSubtract, number(1), share);
          weight = weight ? multiply(*weight, own) : own;
          if (upper) at = add(at, number(1));
        }
        if (how_.fill_mode == "constant") {
          const ValueId low = op_.binary(Binary::Kind::kGreaterEqual, at, number(0));
          const ValueId high =
              op_.binary(Binary::Kind::kLess, at, number(static_cast<double>(sizes[axis])));
          const ValueId both = op_.binary(Binary::Kind::kAnd, low, high);
          inside = inside ? op_.binary(Binary::Kind::kAnd, *inside, both) : both;
        }
        const ValueId cell = op_.cast(DType::kInt32, bounded(at, sizes[axis]));
        const ValueId size = op_.number(static_cast<double>(sizes[axis]), DType::kInt32);
        index = index ? add(multiply(*index, size), cell) : cell;
      }
      // Places that are the same for all channels.
      const std::size_t rank = op_.rank(cells);
      if (rank > 1 && op_.shape(*index)[rank - 2] == 1) {
        index = op_.ops().append(program::Tile{.axis = static_cast<std::int64_t>(rank) - 2,
                                               .times = op_.known_size(cells, rank - 2)},
                                 {*index});
      }
      ValueId value = op_.ops().append(program::TakeAlong{}, {cells, *index});
      if (inside) value = op_.select(*inside, value, number(how_.fill_value));
      if (weight) value = multiply(value, *weight);
      sum = sum ? add(*sum, value) : value;
    }
    return *sum;
  }

 private:
  ValueId number(double value) { return op_.number(value, DType::kFloat32); }
  ValueId add(ValueId a, ValueId b) { return op_.binary(Binary::Kind::kAdd, a, b); }
  ValueId multiply(ValueId a, ValueId b) { return op_.binary(Binary::Kind::kMultiply, a, b); }

  // The cell of an axis that stands for one outside of it.
  ValueId bounded(ValueId at, std::int64_t size) {
    const auto cells = static_cast<double>(size);
    const std::string& mode = how_.fill_mode;
    if (mode == "wrap") {
      at = op_.binary(Binary::Kind::kModulo, at, number(cells));
    } else if (mode == "reflect" || mode == "mirror") {
      // The axis there and back; `mirror` does not repeat the cells at its ends.
      const bool repeats = mode == "reflect";
      const double period = std::max(repeats ? 2 * cells : 2 * cells - 2, 1.0);
      at = op_.binary(Binary::Kind::kModulo, at, number(period));
      const ValueId back =
          op_.binary(Binary::Kind::kSubtract, number(repeats ? period - 1 : period), at);
      at = op_.binary(Binary::Kind::kMinimum, at, back);
    } else if (mode != "constant" && mode != "nearest") {
      op_.unsupported("fill_mode", fmt::format("is '{}'", mode));
    }
    at = op_.binary(Binary::Kind::kMaximum, at, number(0));
    return op_.binary(Binary::Kind::kMinimum, at, number(cells - 1));
  }

  Operation& op_;
  Sampling how_;
};

// Images as (n, channels, cells), with the numbers of each cell's row and column (1, 1, cells), and
// back.
struct Grid {
  ValueId cells = 0;
  ValueId rows = 0;
  ValueId columns = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 0;
  bool single = false;
  bool first = false;
};

Grid grid_of(Operation& op) {
  Grid grid;
  ValueId x = op.to_float(op.tensor("images"));
  grid.single = op.rank(x) == 3;
  if (grid.single) x = op.with_axis(x, 0);
  if (op.rank(x) != 4) {
    op.invalid("images", fmt::format("has the shape {}", op.shape(x).to_string()));
  }
  grid.first = op.arguments().channels_first();
  if (!grid.first) x = to_channels_first(op.call(), x);
  grid.channels = op.known_size(x, 1);
  grid.height = op.known_size(x, 2);
  grid.width = op.known_size(x, 3);
  constexpr std::int64_t kMost = std::int64_t{1} << 24;
  if (grid.height > kMost || grid.width > kMost || grid.height * grid.width > kMost ||
      grid.height * grid.width == 0) {
    op.unsupported("images", "their size is too large, or nothing");
  }
  const auto width = static_cast<std::size_t>(grid.width);
  std::vector<float> rows(static_cast<std::size_t>(grid.height) * width);
  std::vector<float> columns(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t row = i / width;
    rows[i] = static_cast<float>(row);
    columns[i] = static_cast<float>(i % width);
  }
  const Shape line{1, 1, grid.height * grid.width};
  grid.cells = op.reshape({Reshape::copy(0), grid.channels, line[2]}, x);
  grid.rows = op.ops().constant(Tensor::floats(line, rows));
  grid.columns = op.ops().constant(Tensor::floats(line, columns));
  return grid;
}

void output_grid(Operation& op, const Grid& grid, ValueId cells) {
  ValueId y = op.reshape({Reshape::copy(0), grid.channels, grid.height, grid.width}, cells);
  if (!grid.first) y = to_channels_last(op.call(), y);
  op.output(grid.single ? op.without_axis(y, 0) : y);
}

// Zeros with an axis for each image, which spread what is the same for all.
ValueId for_each_image(Operation& op, const Grid& grid, ValueId x) {
  const ValueId one = op.slice(op.slice(grid.cells, 1, 0, 1), 2, 0, 1);
  const ValueId equal = op.binary(Binary::Kind::kEqual, one, one);
  const ValueId always =
      op.binary(Binary::Kind::kOr, equal, op.ops().append(program::Not{}, {equal}));
  const ValueId zero = op.number(0, DType::kFloat32);
  return op.binary(Binary::Kind::kAdd, x, op.select(always, zero, zero));
}

// Coefficient i of each image's transform, (n, 1, 1).
ValueId coefficient(Operation& op, ValueId transforms, std::int64_t i) {
  return op.reshape({Reshape::copy(0), 1, 1}, op.slice(transforms, 1, i, i + 1));
}

void lower_affine(Operation& op) {
  const Grid grid = grid_of(op);
  ValueId transforms = op.to_float(op.tensor("transform"));
  if (op.rank(transforms) == 1) transforms = op.with_axis(transforms, 0);
  if (op.rank(transforms) != 2 || op.shape(transforms)[1] != 8) {
    op.invalid("transform", "has not eight numbers");
  }
  // The last two would be a perspective, of which the backends of Keras make different things.
  const auto literal = op.literal("transform");
  if (!literal) op.unsupported("transform", "it must be numbers that the file holds");
  const Tensor numbers = literal->cast(DType::kFloat32);
  for (std::size_t i = 0; i < numbers.as<float>().size(); ++i) {
    if (i % 8 >= 6 && numbers.as<float>()[i] != 0) {
      op.unsupported("transform", "it is more than affine");
    }
  }
  const auto line = [&](std::int64_t from) {
    const ValueId x =
        op.binary(Binary::Kind::kMultiply, coefficient(op, transforms, from), grid.columns);
    const ValueId y =
        op.binary(Binary::Kind::kMultiply, coefficient(op, transforms, from + 1), grid.rows);
    const ValueId sum = op.binary(Binary::Kind::kAdd, x, y);
    return for_each_image(
        op, grid, op.binary(Binary::Kind::kAdd, sum, coefficient(op, transforms, from + 2)));
  };
  const std::array places{line(3), line(0)};
  const std::array sizes{grid.height, grid.width};
  output_grid(op, grid, Sampler(op, sampling_of(op)).sampled(grid.cells, places, sizes));
}

// The eight numbers that take the four points of `to` to those of `from`, (x, y) each.
std::array<double, 8> homography(Operation& op, std::span<const double> from,
                                 std::span<const double> to) {
  std::array<std::array<double, 9>, 8> rows{};
  for (std::size_t i = 0; i < 4; ++i) {
    const double x = to[2 * i];
    const double y = to[2 * i + 1];
    const double u = from[2 * i];
    const double v = from[2 * i + 1];
    rows[2 * i] = {x, y, 1, 0, 0, 0, -u * x, -u * y, u};
    rows[2 * i + 1] = {0, 0, 0, x, y, 1, -v * x, -v * y, v};
  }
  for (std::size_t column = 0; column < 8; ++column) {
    const auto pivot = std::max_element(
        rows.begin() + static_cast<std::ptrdiff_t>(column), rows.end(),
        [&](const auto& a, const auto& b) { return std::abs(a[column]) < std::abs(b[column]); });
    std::swap(rows[column], *pivot);
    if (std::abs(rows[column][column]) < 1e-12) op.invalid("end_points", "lie in a line");
    for (std::size_t row = 0; row < 8; ++row) {
      if (row == column) continue;
      const double factor = rows[row][column] / rows[column][column];
      for (std::size_t k = column; k < 9; ++k) rows[row][k] -= factor * rows[column][k];
    }
  }
  std::array<double, 8> result{};
  for (std::size_t i = 0; i < 8; ++i) result[i] = rows[i][8] / rows[i][i];
  return result;
}

void lower_perspective(Operation& op) {
  const Grid grid = grid_of(op);
  const auto start = op.literal("start_points");
  const auto end = op.literal("end_points");
  if (!start || !end) op.unsupported("start_points", "they must be numbers that the file holds");
  const Tensor from = start->cast(DType::kFloat64);
  const Tensor to = end->cast(DType::kFloat64);
  const std::size_t count = from.as<double>().size() / 8;
  if (from.shape() != to.shape() || count * 8 != from.as<double>().size() || count == 0) {
    op.invalid("start_points", "are not four for each image");
  }
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i) {
    const auto points = [&](const Tensor& all) { return all.as<double>().subspan(i * 8, 8); };
    for (const double value : homography(op, points(from), points(to))) {
      values.push_back(static_cast<float>(value));
    }
  }
  const ValueId transforms =
      op.ops().constant(Tensor::floats({static_cast<std::int64_t>(count), 8}, values));
  const auto line = [&](std::int64_t x, std::int64_t y) {
    return op.binary(
        Binary::Kind::kAdd,
        op.binary(Binary::Kind::kMultiply, coefficient(op, transforms, x), grid.columns),
        op.binary(Binary::Kind::kMultiply, coefficient(op, transforms, y), grid.rows));
  };
  const ValueId depth = op.binary(Binary::Kind::kAdd, line(6, 7), op.number(1, DType::kFloat32));
  const auto place = [&](std::int64_t i) {
    const ValueId near =
        op.binary(Binary::Kind::kAdd, line(i, i + 1), coefficient(op, transforms, i + 2));
    return for_each_image(op, grid, op.binary(Binary::Kind::kDivide, near, depth));
  };
  const std::array places{place(3), place(0)};
  const std::array sizes{grid.height, grid.width};
  output_grid(op, grid, Sampler(op, sampling_of(op)).sampled(grid.cells, places, sizes));
}

void lower_map_coordinates(Operation& op) {
  const ValueId x = op.to_float(op.tensor("inputs"));
  const ValueId coordinates = op.to_float(op.tensor("coordinates"));
  const std::size_t rank = op.rank(x);
  constexpr std::size_t kMost = 4;
  if (rank == 0 || rank > kMost || op.rank(coordinates) < 2 ||
      op.shape(coordinates)[0] != static_cast<std::int64_t>(rank)) {
    op.invalid("coordinates", "have no row for each dimension");
  }
  std::vector<std::int64_t> sizes;
  std::vector<ValueId> places;
  for (std::size_t i = 0; i < rank; ++i) {
    sizes.push_back(op.known_size(x, i));
    if (sizes.back() == 0) op.invalid("inputs", "holds nothing");
    const auto at = static_cast<std::int64_t>(i);
    places.push_back(op.reshape({Reshape::kInfer}, op.slice(coordinates, 0, at, at + 1)));
  }
  const ValueId y =
      Sampler(op, sampling_of(op)).sampled(op.reshape({Reshape::kInfer}, x), places, sizes);
  std::vector<std::int64_t> dims;
  for (std::size_t i = 1; i < op.rank(coordinates); ++i) dims.push_back(Reshape::like(i));
  op.output(op.reshape_like(std::move(dims), y, coordinates));
}

// A bell over the cells of a window, of the sum 1.
std::vector<double> bell(std::int64_t size, double sigma) {
  std::vector<double> values(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double place = (static_cast<double>(i) - static_cast<double>(size - 1) / 2) / sigma;
    values[i] = std::exp(-0.5 * place * place);
  }
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  for (double& value : values) value /= sum;
  return values;
}

void lower_gaussian_blur(Operation& op) {
  ImageBatch batch(op, op.to_float(op.tensor("images")));
  const ValueId x = batch.images();
  const std::vector<std::int64_t> size = op.arguments().integers("kernel_size");
  const auto sigma = op.literal("sigma");
  constexpr std::int64_t kMost = 256;
  if (size.size() != 2 || !sigma || sigma->shape() != Shape{2} || size[0] < 1 || size[1] < 1 ||
      size[0] > kMost || size[1] > kMost) {
    op.unsupported("kernel_size", "it must be two numbers up to 256, and so must sigma");
  }
  const Tensor widths = sigma->cast(DType::kFloat64);
  // Keras takes the first number for the columns.
  const std::vector<double> columns = bell(size[0], widths.as<double>()[0]);
  const std::vector<double> rows = bell(size[1], widths.as<double>()[1]);
  const std::int64_t channels = op.known_size(x, 3);
  std::vector<float> kernel;
  for (const double row : rows) {
    for (const double column : columns) {
      kernel.insert(kernel.end(), static_cast<std::size_t>(channels),
                    static_cast<float>(row * column));
    }
  }
  program::DepthwiseConv conv;
  conv.window.size = {size[1], size[0], 1};
  conv.window.padding = program::Padding::kSame;
  batch.output(op.ops().append(
      conv, {x, op.ops().constant(Tensor::floats({size[1], size[0], channels, 1}, kernel))}));
}

}  // namespace

void register_warps(Registry& registry);
void register_warps(Registry& registry) {
  add_operations(registry, {"AffineTransform"}, {"images", "transform"},
                 {"interpolation", "fill_mode", "fill_value", "data_format"}, lower_affine);
  add_operations(registry, {"PerspectiveTransform"}, {"images", "start_points", "end_points"},
                 {"interpolation", "fill_value", "data_format"}, lower_perspective);
  add_operations(registry, {"MapCoordinates"}, {"inputs", "coordinates"},
                 {"order", "fill_mode", "fill_value"}, lower_map_coordinates);
  add_operations(registry, {"GaussianBlur"}, {"images"}, {"kernel_size", "sigma", "data_format"},
                 lower_gaussian_blur);
}

}  // namespace kerf::layers
