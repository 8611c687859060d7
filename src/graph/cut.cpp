#include "graph/cut.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>

#include "graph/dependencies.h"
#include "kerf/error.h"

namespace kerf::graph {
namespace {

// What a walk back from the fetches finds.
struct Walk {
  std::vector<bool> calls;        // needed
  std::vector<bool> tensors;      // reached
  std::vector<TensorId> towards;  // the tensor by which each was reached; kNone for fetches
  std::vector<TensorId> missing;  // model inputs reached that are not fed
};

Walk walk_back(const Graph& graph, const std::vector<bool>& fed,
               std::span<const TensorId> fetches) {
  Walk walk{.calls = std::vector<bool>(graph.calls().size()),
            .tensors = std::vector<bool>(graph.tensors().size()),
            .towards = std::vector<TensorId>(graph.tensors().size(), kNone),
            .missing = {}};
  std::deque<TensorId> queue;  // breadth first, so that the paths shown are the shortest
  for (const TensorId fetch : fetches) {
    if (!walk.tensors[fetch]) queue.push_back(fetch);
    walk.tensors[fetch] = true;
  }
  while (!queue.empty()) {
    const TensorId tensor = queue.front();
    queue.pop_front();
    if (fed[tensor]) continue;
    const CallId producer = graph.tensor(tensor).producer;
    if (producer == kNone) {
      walk.missing.push_back(tensor);
      continue;
    }
    walk.calls[producer] = true;
    for_each_dependency(graph, tensor, [&](TensorId input) {
      if (!walk.tensors[input]) {
        walk.tensors[input] = true;
        walk.towards[input] = tensor;
        queue.push_back(input);
      }
    });
  }
  std::ranges::sort(walk.missing);
  return walk;
}

// Which tensors are computed from a feed (among those of the walk), feeds included.
std::vector<bool> depends_on_feeds(const Graph& graph, const std::vector<bool>& fed,
                                   const Walk& walk) {
  std::vector<bool> depends = fed;
  for (CallId id = 0; id < graph.calls().size(); ++id) {
    if (!walk.calls[id]) continue;
    const Call& call = graph.call(id);
    const auto find = [&](TensorId made) {
      for_each_dependency(graph, made,
                          [&](TensorId input) { depends[made] = depends[made] || depends[input]; });
    };
    for (const TensorId output : call.outputs) find(output);
    for (const TensorId mask : call.masks) {
      if (mask != kNone && graph.tensor(mask).producer == id) find(mask);
    }
  }
  return depends;
}

// The fewest tensors to feed beside those fed, as a minimum vertex cut between the missing inputs
// and the fetches (Menger; augmenting paths, one per tensor found). Only tensors that no feed leads
// to count, or the feeds would be of no use. Of equal sets the one nearest to the fetches, because
// that is where the caller cut.
std::vector<TensorId> smallest_extra_feeds(const Graph& graph, const std::vector<bool>& fed,
                                           std::span<const TensorId> fetches, const Walk& walk,
                                           const std::vector<bool>& depends) {
  // Every tensor is two nodes, 2t (in) and 2t+1 (out), joined by an edge of capacity 1.
  const std::size_t count = graph.tensors().size() * 2 + 2;
  const auto source = static_cast<std::uint32_t>(count - 2);
  const auto sink = static_cast<std::uint32_t>(count - 1);
  struct Edge {
    std::uint32_t to;
    int capacity;
  };
  std::vector<Edge> edges;
  std::vector<std::vector<std::uint32_t>> out(count);
  const auto connect = [&](std::uint32_t a, std::uint32_t b, int capacity) {
    out[a].push_back(static_cast<std::uint32_t>(edges.size()));
    edges.push_back({b, capacity});
    out[b].push_back(static_cast<std::uint32_t>(edges.size()));
    edges.push_back({a, 0});
  };
  constexpr int kFree = 1 << 20;
  std::vector<bool> fetched(graph.tensors().size());
  for (const TensorId fetch : fetches) fetched[fetch] = true;
  for (TensorId t = 0; t < graph.tensors().size(); ++t) {
    if (!walk.tensors[t] || fed[t]) continue;
    const CallId producer = graph.tensor(t).producer;
    // To feed what is fetched is no help, unless it is an input.
    const bool useless = depends[t] || (fetched[t] && producer != kNone);
    connect(2 * t, 2 * t + 1, useless ? kFree : 1);
    if (fetched[t]) connect(2 * t + 1, sink, kFree);
    if (producer == kNone) {
      connect(source, 2 * t, kFree);
    } else {
      for_each_dependency(graph, t, [&](TensorId input) {
        if (!fed[input]) connect(2 * input + 1, 2 * t, kFree);
      });
    }
  }
  std::vector<std::uint32_t> via(count);
  const auto search = [&](std::uint32_t from, bool backwards, std::vector<bool>& seen) {
    seen.assign(count, false);
    seen[from] = true;
    std::deque<std::uint32_t> queue{from};
    while (!queue.empty()) {
      const std::uint32_t node = queue.front();
      queue.pop_front();
      for (const std::uint32_t e : out[node]) {
        const std::uint32_t next = edges[e].to;
        const int capacity = backwards ? edges[e ^ 1U].capacity : edges[e].capacity;
        if (capacity > 0 && !seen[next]) {
          seen[next] = true;
          via[next] = e;
          queue.push_back(next);
        }
      }
    }
  };
  constexpr int kMost = 16;  // more feeds than anyone would name
  std::vector<bool> seen;
  search(source, false, seen);
  for (int flow = 0; seen[sink]; ++flow) {
    if (flow == kMost) return {};
    for (std::uint32_t node = sink; node != source; node = edges[via[node] ^ 1U].to) {
      --edges[via[node]].capacity;
      ++edges[via[node] ^ 1U].capacity;
    }
    search(source, false, seen);
  }
  search(sink, true, seen);
  std::vector<TensorId> result;
  for (TensorId t = 0; t < graph.tensors().size(); ++t) {
    if (walk.tensors[t] && !fed[t] && seen[2 * t + 1] && !seen[2 * t]) result.push_back(t);
  }
  return result;
}

// From a missing input to the place where it meets what was fed, or to the fetch.
std::string path_text(const Graph& graph, const Walk& walk, const std::vector<bool>& depends,
                      TensorId tensor) {
  std::vector<TensorId> path{tensor};
  while (walk.towards[path.back()] != kNone && !depends[path.back()]) {
    path.push_back(walk.towards[path.back()]);
  }
  constexpr std::size_t kShown = 6;
  std::string text;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path.size() > kShown && i == kShown / 2) {
      text += " -> ...";
      i = path.size() - kShown / 2;
    }
    text += (text.empty() ? "" : " -> ") + address_of(graph, path[i]);
  }
  return text;
}

std::string join(const Graph& graph, std::span<const TensorId> tensors) {
  constexpr std::size_t kShown = 8;
  const std::size_t shown = std::min(tensors.size(), kShown);
  std::string text;
  for (std::size_t i = 0; i < shown; ++i) {
    if (i != 0) text += i + 1 == tensors.size() ? " and " : ", ";
    text += fmt::format("'{}'", address_of(graph, tensors[i]));
  }
  if (shown < tensors.size()) text += fmt::format(" and {} more", tensors.size() - shown);
  return text;
}

// The tensor nearest to the feeds that alone is enough to compute the fetches.
std::optional<TensorId> nearest_single(const Graph& graph, std::span<const TensorId> feeds,
                                       std::span<const TensorId> fetches) {
  std::optional<TensorId> before;
  for (const Dominator& dominator : dominators(graph, fetches)) {
    const TensorId tensor = dominator.tensor;
    const bool fetched = std::ranges::find(fetches, tensor) != fetches.end();
    if (graph.tensor(tensor).producer == kNone || fetched) continue;
    // Tensors are numbered in the order in which they are computed.
    if (std::ranges::all_of(feeds, [&](TensorId feed) { return feed < tensor; })) return tensor;
    before = tensor;
  }
  return before;
}

[[noreturn]] void not_computable(const Graph& graph, const std::vector<bool>& fed,
                                 std::span<const TensorId> feeds, std::span<const TensorId> fetches,
                                 const Walk& walk) {
  const std::vector<bool> depends = depends_on_feeds(graph, fed, walk);
  std::string message = fmt::format("cannot compute {} from {}", join(graph, fetches),
                                    feeds.empty() ? "nothing" : join(graph, feeds));
  for (std::size_t i = 0; i < walk.missing.size(); ++i) {
    message += fmt::format("{} '{}' is also needed, through {}", i == 0 ? ":" : ";",
                           address_of(graph, walk.missing[i]),
                           path_text(graph, walk, depends, walk.missing[i]));
  }
  const std::vector<TensorId> extra = smallest_extra_feeds(graph, fed, fetches, walk, depends);
  const std::optional<TensorId> nearest = nearest_single(graph, feeds, fetches);
  if (!extra.empty()) message += fmt::format("; feed {} too", join(graph, extra));
  if (nearest) {
    message +=
        fmt::format("{} cut at '{}'", extra.empty() ? ";" : ", or", address_of(graph, *nearest));
  }
  throw Error(ErrorCode::kInvalidArgument, std::move(message));
}

Cut make_cut(const std::shared_ptr<const Graph>& graph, std::vector<TensorId> feeds,
             std::vector<TensorId> fetches, const CutOptions& options) {
  std::vector<bool> fed(graph->tensors().size());
  for (const TensorId feed : feeds) {
    if (fed[feed]) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' is fed twice", address_of(*graph, feed)));
    }
    fed[feed] = true;
  }
  const Walk walk = walk_back(*graph, fed, fetches);
  if (!walk.missing.empty()) not_computable(*graph, fed, feeds, fetches, walk);
  Cut result{.graph = graph, .feeds = std::move(feeds), .fetches = std::move(fetches)};
  for (CallId id = 0; id < graph->calls().size(); ++id) {
    if (walk.calls[id]) result.calls.push_back(id);
  }
  for (const TensorId feed : result.feeds) {
    if (!walk.tensors[feed]) result.unused_feeds.push_back(feed);
  }
  if (options.strict && !result.unused_feeds.empty()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("{} is fed, but {} can be computed without; leave it out, or ask for a cut "
                    "that is not strict",
                    join(*graph, result.unused_feeds), join(*graph, result.fetches)));
  }
  return result;
}

}  // namespace

Cut cut(const std::shared_ptr<const Graph>& graph, std::span<const TensorId> feeds,
        std::span<const TensorId> fetches, const CutOptions& options) {
  return make_cut(graph, {feeds.begin(), feeds.end()}, {fetches.begin(), fetches.end()}, options);
}

Cut cut(const std::shared_ptr<const Graph>& graph, std::span<const std::string> feeds,
        std::span<const std::string> fetches, const CutOptions& options) {
  std::vector<TensorId> feed_ids;
  std::vector<TensorId> fetch_ids;
  for (const std::string& fetch : fetches) {
    fetch_ids.push_back(resolve(*graph, fetch, Role::kFetch));
  }
  if (fetches.empty()) {
    for (const Port& port : graph->outputs()) fetch_ids.push_back(port.tensor);
  }
  for (const std::string& feed : feeds) {
    feed_ids.push_back(resolve(*graph, feed, Role::kFeed));
  }
  if (feeds.empty()) {
    const Walk walk = walk_back(*graph, std::vector<bool>(graph->tensors().size()), fetch_ids);
    for (const Port& port : graph->inputs()) {
      if (walk.tensors[port.tensor]) feed_ids.push_back(port.tensor);
    }
  }
  return make_cut(graph, std::move(feed_ids), std::move(fetch_ids), options);
}

Cut whole(const std::shared_ptr<const Graph>& graph) {
  std::vector<TensorId> feeds;
  std::vector<TensorId> fetches;
  for (const Port& port : graph->inputs()) feeds.push_back(port.tensor);
  for (const Port& port : graph->outputs()) fetches.push_back(port.tensor);
  return make_cut(graph, std::move(feeds), std::move(fetches), {.strict = false});
}

}  // namespace kerf::graph
