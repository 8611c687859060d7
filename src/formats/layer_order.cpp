#include "formats/layer_order.h"

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace kerf::formats {

std::vector<std::size_t> keras_layer_order(std::size_t layers, std::span<const LayerNode> nodes,
                                           std::span<const std::size_t> outputs) {
  struct Visit {
    std::size_t node = 0;
    std::size_t next = 0;  // among its parents
  };
  std::vector<std::int64_t> met(layers, -1);  // when, on the way back; never: first
  std::int64_t meetings = 0;
  std::vector<bool> entered(nodes.size());
  std::vector<std::size_t> finished;  // parents before children
  std::vector<Visit> path;
  const auto enter = [&](std::size_t node) {
    if (entered[node]) return;
    entered[node] = true;
    std::int64_t& meeting = met[nodes[node].layer];
    if (meeting < 0) meeting = meetings++;
    path.push_back({.node = node});
  };
  for (const std::size_t output : outputs) {
    enter(output);
    while (!path.empty()) {
      Visit& visit = path.back();
      const std::vector<std::size_t>& parents = nodes[visit.node].parents;
      if (visit.next < parents.size()) {
        enter(parents[visit.next++]);
      } else {
        finished.push_back(visit.node);
        path.pop_back();
      }
    }
  }
  // Calls from the next output. All calls of a layer count as far as its farthest so far.
  std::vector<std::size_t> node_depth(nodes.size(), 0);
  std::vector<std::size_t> depth(layers, 0);
  for (auto node = finished.rbegin(); node != finished.rend(); ++node) {
    std::size_t& own = depth[nodes[*node].layer];
    own = std::max(own, node_depth[*node]);
    for (const std::size_t parent : nodes[*node].parents) {
      node_depth[parent] = std::max(node_depth[parent], own + 1);
    }
  }
  std::vector<std::size_t> order(layers);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return depth[a] != depth[b] ? depth[a] > depth[b] : met[a] < met[b];
  });
  return order;
}

}  // namespace kerf::formats
