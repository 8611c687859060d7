#include "serving/served_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kerf/error.h"

namespace kerf::serving {
namespace {

void append_number(std::uint64_t value, std::string& key) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Lengths stand before names, so that no two calls have one key.
void append_name(std::string_view name, std::string& key) {
  append_number(name.size(), key);
  key.append(name);
}

std::string cut_key(const CallSpec& spec) {
  std::string key;
  append_number(spec.feeds.size(), key);
  for (const std::string_view name : spec.feeds) append_name(name, key);
  for (const std::string_view name : spec.fetches) append_name(name, key);
  return key;
}

bool feeds_exactly_the_inputs(const CallSpec& spec, const Model& model) {
  const std::vector<TensorInfo>& inputs = model.inputs();
  return spec.feeds.size() == inputs.size() &&
         std::ranges::all_of(inputs, [&](const TensorInfo& input) {
           return std::ranges::find(spec.feeds, input.name) != spec.feeds.end();
         });
}

std::vector<Signature> signatures_of(const Model& model, const ModelSettings& settings) {
  std::vector<Signature> signatures{
      {.name = kDefaultSignature, .inputs = model.inputs(), .outputs = model.outputs()}};
  for (const NamedCut& named : settings.cuts) {
    try {
      const Cut cut = model.cut(named.feeds, named.fetches);
      signatures.push_back({.name = named.name, .inputs = cut.feeds(), .outputs = cut.fetches()});
    } catch (const Error& error) {
      throw error.within("cut " + named.name);
    }
  }
  return signatures;
}

}  // namespace

void write_target_key(const CallSpec& spec, std::string& key) {
  key.clear();
  append_number(spec.feeds.size(), key);
  for (std::size_t i = 0; i < spec.feeds.size(); ++i) {
    append_name(spec.feeds[i], key);
    append_number(spec.shapes[i].rank(), key);
    key.append(reinterpret_cast<const char*>(spec.shapes[i].begin()),
               spec.shapes[i].rank() * sizeof(std::int64_t));
  }
  for (const std::string_view name : spec.fetches) append_name(name, key);
}

OwnedCallSpec read_target_key(std::string_view key) {
  const auto take = [&](void* to, std::size_t size) {
    std::memcpy(to, key.data(), size);
    key.remove_prefix(size);
  };
  const auto take_number = [&] {
    std::uint64_t number = 0;
    take(&number, sizeof number);
    return number;
  };
  const auto take_name = [&] {
    std::string name(take_number(), '\0');
    take(name.data(), name.size());
    return name;
  };
  OwnedCallSpec spec;
  for (std::uint64_t feeds = take_number(); feeds != 0; --feeds) {
    spec.feeds.push_back(take_name());
    Shape& shape = spec.shapes.emplace_back();
    for (std::uint64_t rank = take_number(); rank != 0; --rank) {
      std::int64_t dimension = 0;
      take(&dimension, sizeof dimension);
      shape.push_back(dimension);
    }
  }
  while (!key.empty()) spec.fetches.push_back(take_name());
  return spec;
}

ServedModel::ServedModel(std::string name, std::string version, Model model, const Limits& limits,
                         ModelSettings settings)
    : name_(std::move(name)),
      version_(std::move(version)),
      model_(std::move(model)),
      limits_(limits),
      settings_(std::move(settings)),
      signatures_(signatures_of(model_, settings_)),
      queues_(settings_.queue_length != 0 ? settings_.queue_length : limits.queue_length),
      cuts_(limits.cuts_per_model),
      batches_(limits.plans_per_model),
      targets_(limits.plans_per_model) {
  const auto add = [&](std::string cut) {
    statistics_.push_back(std::make_unique<CutStatistics>());
    statistics_.back()->name = std::move(cut);
  };
  add({});
  for (const NamedCut& cut : settings_.cuts) {
    add(cut.name);
    if (cut.cache_bytes != 0) {
      statistics_.back()->cache = std::make_unique<FeatureCache>(cut.cache_bytes);
    }
  }
  add("*");
}

bool ServedModel::feeds_match(const CallSpec& spec, const NamedCut& cut) const noexcept {
  if (cut.feeds.empty()) return feeds_exactly_the_inputs(spec, model_);
  return spec.feeds.size() == cut.feeds.size() &&
         std::ranges::all_of(cut.feeds, [&](const std::string& name) {
           return std::ranges::find(spec.feeds, name) != spec.feeds.end();
         });
}

Statistics& ServedModel::statistics_of(const CallSpec& spec) const noexcept {
  for (std::size_t i = 0; i < settings_.cuts.size(); ++i) {
    const NamedCut& cut = settings_.cuts[i];
    if (feeds_match(spec, cut) && std::ranges::equal(spec.fetches, cut.fetches)) {
      return statistics_[i + 1]->statistics;
    }
  }
  const bool whole = spec.fetches.empty() && feeds_exactly_the_inputs(spec, model_);
  return (whole ? statistics_.front() : statistics_.back())->statistics;
}

std::shared_ptr<const CachedCut> ServedModel::make_cached(const CallSpec& spec,
                                                          Statistics& statistics) const {
  const auto holds_strings = [](const std::vector<TensorInfo>& tensors) {
    return std::ranges::find(tensors, DType::kString, &TensorInfo::dtype) != tensors.end();
  };
  for (std::size_t i = 0; i < settings_.cuts.size(); ++i) {
    const NamedCut& named = settings_.cuts[i];
    FeatureCache* cache = statistics_[i + 1]->cache.get();
    if (cache == nullptr || !feeds_match(spec, named)) continue;
    const std::vector<std::string_view> features(named.fetches.begin(), named.fetches.end());
    try {
      const CallSpec head{.feeds = spec.feeds, .shapes = spec.shapes, .fetches = features};
      const Cut head_cut = find_or_make_cut(head);
      const std::shared_ptr<Batch> head_batch = find_or_make_batch(head, head_cut);
      if (!head_batch || holds_strings(head_cut.feeds()) || holds_strings(head_cut.fetches())) {
        continue;
      }
      if (std::ranges::equal(spec.fetches, features)) {
        return std::make_shared<const CachedCut>(*cache, head_batch, nullptr, statistics);
      }
      std::vector<Shape> shapes;
      const Plan plan = head_batch->plan(0);
      for (const TensorInfo& feature : plan.fetches()) {
        shapes.push_back(feature.shape);
      }
      const CallSpec tail{.feeds = features, .shapes = shapes, .fetches = spec.fetches};
      const Cut tail_cut = find_or_make_cut(tail);
      const std::shared_ptr<Batch> tail_batch = find_or_make_batch(tail, tail_cut);
      if (!tail_batch || holds_strings(tail_cut.fetches())) continue;
      return std::make_shared<const CachedCut>(*cache, head_batch, tail_batch, statistics);
    } catch (const Error&) {
      continue;  // what is fetched does not follow from these features alone
    }
  }
  return nullptr;
}

std::shared_ptr<const Target> ServedModel::find_target(std::string_view key) const {
  const std::lock_guard lock(mutex_);
  return targets_.find(key).value_or(nullptr);
}

std::vector<std::string> ServedModel::recent_targets() const {
  const std::lock_guard lock(mutex_);
  return targets_.keys();
}

Cut ServedModel::find_or_make_cut(const CallSpec& spec) const {
  const std::string key = cut_key(spec);
  {
    const std::lock_guard lock(mutex_);
    if (std::optional<Cut> cut = cuts_.find(key)) return *std::move(cut);
  }
  const std::vector<std::string> feeds(spec.feeds.begin(), spec.feeds.end());
  const std::vector<std::string> fetches(spec.fetches.begin(), spec.fetches.end());
  Cut cut = model_.cut(feeds, fetches, {.strict = !feeds_exactly_the_inputs(spec, model_)});
  const std::lock_guard lock(mutex_);
  cuts_.insert(key, cut);
  return cut;
}

std::shared_ptr<Batch> ServedModel::find_or_make_batch(const CallSpec& spec, const Cut& cut) const {
  const auto rows = [](const Shape& shape) { return shape.rank() == 0 ? 0 : shape[0]; };
  const std::int64_t first = rows(spec.shapes[0]);
  if (first < 1 || first > kBucketRows.back() ||
      !std::ranges::all_of(spec.shapes, [&](const Shape& shape) { return rows(shape) == first; })) {
    return nullptr;
  }
  std::vector<Shape> samples(spec.shapes.begin(), spec.shapes.end());
  for (Shape& shape : samples) shape[0] = 1;
  std::string key;
  write_target_key({.feeds = spec.feeds, .shapes = samples, .fetches = spec.fetches}, key);
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = batches_.find(key)) return *known;
  }
  std::shared_ptr<Batch> batch;
  if (cut.rows_are_independent(samples)) {
    batch = std::make_shared<Batch>(cut, std::move(samples), settings_.batching, queues_);
  }
  const std::lock_guard lock(mutex_);
  batches_.insert(key, batch);
  return batch;
}

void ServedModel::check_sizes(const Plan& plan) const {
  std::size_t bytes = 0;
  for (const std::vector<TensorInfo>* tensors : {&plan.feeds(), &plan.fetches()}) {
    for (const TensorInfo& tensor : *tensors) {
      const auto count = static_cast<std::size_t>(tensor.shape.element_count());
      if (count > limits_.tensor_elements) {
        throw Error(ErrorCode::kResourceExhausted,
                    fmt::format("shape {} has {} elements, more than this server's limit of {}",
                                tensor.shape.to_string(), count, limits_.tensor_elements),
                    tensor.name);
      }
      if (tensors == &plan.fetches()) bytes += count * element_size(tensor.dtype);
    }
  }
  if (bytes > limits_.reply_bytes) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("the tensors asked for take {} bytes, more than this server's limit "
                            "of {}: ask for fewer, or send smaller batches",
                            bytes, limits_.reply_bytes));
  }
}

std::shared_ptr<const Target> ServedModel::make_target(const CallSpec& spec) const {
  if (spec.feeds.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "no tensor is fed");
  }
  std::string key;
  write_target_key(spec, key);
  const std::lock_guard making(making_);
  if (std::shared_ptr<const Target> target = find_target(key)) return target;
  const Cut cut = find_or_make_cut(spec);
  Target made{.plan = cut.plan(spec.shapes), .queue = &queues_.alone()};
  check_sizes(made.plan);
  made.statistics = &statistics_of(spec);
  made.lane = lane_of(made.plan);
  made.batch = find_or_make_batch(spec, cut);
  if (spec.shapes[0].rank() != 0) made.rows = spec.shapes[0][0];
  if (made.batch) {
    made.queue = &made.batch->queue();
    made.cached = make_cached(spec, *made.statistics);
  }
  const auto target = std::make_shared<const Target>(std::move(made));
  const std::lock_guard lock(mutex_);
  targets_.insert(key, target);
  return target;
}

}  // namespace kerf::serving
