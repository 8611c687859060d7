#include <kerf/model.h>

#include <array>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

// embed recommender.keras: a whole prediction, then the same in two halves from many threads.
int main(int, char** argv) try {
  const kerf::Model model = kerf::Model::load(argv[1]);

  // One sample: the id of a segment, and ten features.
  const std::array<std::int32_t, 1> id = {7};
  const std::array<float, 10> features = {0.5F, -1, 0, 0.25F, 1, 0, 0, 2, -0.5F, 1};
  const std::vector<kerf::Tensor> inputs = {
      kerf::Tensor::of<std::int32_t>(kerf::DType::kInt32, {1, 1}, id),
      kerf::Tensor::floats({1, 10}, features)};
  const kerf::Tensor whole = model.whole().run(inputs)[0];

  // The same model cut at a tensor: what is before it, and what is after it.
  const std::vector<std::string> bottleneck = {"concat"};
  const kerf::Cut head = model.cut({}, bottleneck);
  const kerf::Cut tail = model.cut(bottleneck, {});

  // Models, cuts and plans are immutable: any thread may use them, none needs a lock.
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { tail.run(head.run(inputs)); });
  }
  threads.clear();

  const kerf::Tensor halves = tail.run(head.run(inputs))[0];
  for (std::size_t i = 0; i < 4; ++i) {
    std::cout << whole.as<float>()[i] << ' ' << halves.as<float>()[i] << '\n';
  }
} catch (const kerf::Error& error) {
  std::cerr << error.what() << '\n';  // "recommender.keras: concat: ..."
  return 1;
}
