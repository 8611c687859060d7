#include "cli/samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "cli/arguments.h"

namespace kerf::cli {

std::vector<Shape> sample_shapes(const Cut& cut, const std::vector<std::string>& arguments,
                                 std::int64_t batch) {
  std::map<std::string, Shape> given;
  for (const std::string& argument : arguments) {
    const auto [name, dims] = name_and_value(argument);
    given[name] = parse_shape(dims, name);
  }
  std::vector<Shape> shapes;
  for (const TensorInfo& feed : cut.feeds()) {
    Shape shape = feed.shape;
    if (const auto found = given.find(feed.name); found != given.end()) {
      shape = found->second;
      given.erase(found);
    } else if (shape.rank() > 0 && shape[0] == Shape::kUnknown) {
      shape[0] = batch;
    }
    if (!shape.is_static()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("its shape {} leaves dimensions open: give them, as in --shape {}=...",
                      feed.shape.to_string(), feed.name),
          feed.name);
    }
    shapes.push_back(shape);
  }
  if (!given.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "--shape is given for a tensor that is not fed",
                given.begin()->first);
  }
  return shapes;
}

Tensor made_up(const TensorInfo& info, std::mt19937& random) {
  const auto count = static_cast<std::size_t>(info.shape.element_count());
  if (is_floating(info.dtype)) {
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> values(count);
    std::ranges::generate(values, [&] { return uniform(random); });
    return Tensor::floats(info.shape, values).cast(info.dtype);
  }
  if (info.dtype == DType::kString) {
    const std::vector<std::string_view> texts(count,
                                              "The quick brown fox jumps over the lazy dog.");
    return Tensor::of_strings(info.shape, texts);
  }
  const std::vector<std::byte> zeros(count * dtype_size(info.dtype));
  return Tensor::copy_of(info.dtype, info.shape, zeros);
}

}  // namespace kerf::cli
