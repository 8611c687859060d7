#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "layers/operation.h"

// keras.ops.rearrange: axes named on both sides of an arrow, those in brackets as one.
namespace kerf::layers {
namespace {

using program::Reshape;

using Group = std::vector<std::string>;

// "b (h w) c" -> {{b}, {h, w}, {c}}.
std::vector<Group> groups_of(Operation& op, std::string_view side) {
  std::vector<Group> groups;
  bool inside = false;
  std::string name;
  const auto end_name = [&] {
    if (name.empty()) return;
    if (!inside) groups.emplace_back();
    groups.back().push_back(std::move(name));
    name.clear();
  };
  for (const char c : side) {
    if (c == ' ' || c == '(' || c == ')') {
      end_name();
      if ((c == '(' && inside) || (c == ')' && !inside)) op.invalid("pattern", "has odd brackets");
      if (c == '(') groups.emplace_back();
      if (c != ' ') inside = c == '(';
    } else if (c == '.') {
      op.unsupported("pattern", "it has an ellipsis");
    } else {
      name += c;
    }
  }
  end_name();
  if (inside) op.invalid("pattern", "has odd brackets");
  return groups;
}

void lower_rearrange(Operation& op) {
  const ValueId x = op.tensor("tensor");
  const std::string pattern = op.arguments().text("pattern", "");
  const std::size_t arrow = pattern.find("->");
  if (arrow == std::string::npos) op.invalid("pattern", "has no arrow");
  const std::vector<Group> from = groups_of(op, std::string_view(pattern).substr(0, arrow));
  const std::vector<Group> to = groups_of(op, std::string_view(pattern).substr(arrow + 2));
  if (from.size() != op.rank(x)) op.invalid("pattern", "does not fit the tensor's dimensions");
  std::map<std::string, std::int64_t> place;  // among the axes that stand apart
  std::vector<std::int64_t> apart;
  for (std::size_t axis = 0; axis < from.size(); ++axis) {
    std::int64_t known = 1;
    std::string open;
    for (const std::string& name : from[axis]) {
      if (!place.emplace(name, place.size()).second) op.invalid("pattern", "names an axis twice");
      if (op.has(name)) {
        known *= op.arguments().size(name.c_str());
      } else if (from[axis].size() > 1 && !open.empty()) {
        op.invalid("pattern", "leaves two sizes of one axis open");
      } else {
        open = name;
      }
    }
    const std::int64_t size = op.shape(x)[axis];
    for (const std::string& name : from[axis]) {
      if (op.has(name)) {
        apart.push_back(op.arguments().size(name.c_str()));
      } else if (from[axis].size() == 1) {
        apart.push_back(Reshape::copy(axis));
      } else if (size == Shape::kUnknown) {
        apart.push_back(Reshape::kInfer);
      } else if (known < 1 || size % known != 0) {
        op.invalid("pattern", fmt::format("splits an axis of {} by {}", size, known));
      } else {
        apart.push_back(size / known);
      }
    }
    if (open.empty() && size != Shape::kUnknown && size != known) {
      op.invalid("pattern", fmt::format("splits an axis of {} by {}", size, known));
    }
  }
  if (apart.size() > Shape::kMaxRank) op.unsupported("pattern", "it has too many axes");
  if (std::ranges::count(apart, Reshape::kInfer) > 1) {
    op.unsupported("pattern", "it splits several axes of unknown size");
  }
  const ValueId split = op.reshape(apart, x);
  std::vector<std::int64_t> order;
  std::vector<std::int64_t> dims;
  std::size_t open = 0;
  for (const Group& group : to) {
    std::int64_t size = 1;
    for (const std::string& name : group) {
      const auto found = place.find(name);
      if (found == place.end()) op.invalid("pattern", fmt::format("the axis {} is new", name));
      const std::int64_t own = op.shape(split)[static_cast<std::size_t>(found->second)];
      size = own == Shape::kUnknown || size == Shape::kUnknown ? Shape::kUnknown : size * own;
      order.push_back(found->second);
    }
    if (group.size() == 1) {
      dims.push_back(Reshape::copy(order.size() - 1));
    } else {
      open += size == Shape::kUnknown ? 1 : 0;
      dims.push_back(size == Shape::kUnknown ? Reshape::kInfer : size);
    }
  }
  std::vector<std::int64_t> sorted = order;
  std::ranges::sort(sorted);
  const bool all =
      sorted.size() == place.size() && std::ranges::adjacent_find(sorted) == sorted.end();
  if (!all) op.invalid("pattern", "has other axes on its right than on its left");
  if (open > 1) op.unsupported("pattern", "it joins axes of unknown size to several");
  op.output(op.reshape(std::move(dims), op.transpose(std::move(order), split)));
}

}  // namespace

void register_rearrange(Registry& registry);
void register_rearrange(Registry& registry) {
  registry.add({.class_name = "Rearrange",
                .operation = true,
                .lower =
                    [](LayerCall& call) {
                      // The sizes of axes are arguments under the names of these.
                      std::vector<std::string> names;
                      const boost::json::value* kwargs = call.arguments().if_contains("kwargs");
                      if (kwargs != nullptr && kwargs->is_object()) {
                        for (const auto& entry : kwargs->get_object()) {
                          names.emplace_back(entry.key());
                        }
                      }
                      const std::vector<std::string_view> sizes(names.begin(), names.end());
                      Operation operation(call, {"tensor", "pattern"}, sizes);
                      lower_rearrange(operation);
                    },
                .arguments = {"tensor", "pattern"},
                .parameters = 2});
}

}  // namespace kerf::layers
