#include "tensor/constant.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <vector>

namespace kerf {
namespace {

const std::array<float, 4> kValues{1, 2, 3, 4};

// Packed are the elements with one number before them.
Tensor packed(const Tensor& elements) {
  std::vector<float> floats{0};
  floats.insert(floats.end(), elements.as<float>().begin(), elements.as<float>().end());
  return Tensor::floats({std::ssize(floats)}, floats);
}
Tensor unpacked(const Tensor& packed) {
  return Tensor::floats({2, 2}, packed.as<float>().subspan(1));
}

TEST(ConstantTest, HasItsElementsBackFromWhatTheyWerePackedInto) {
  const Constant constant = Tensor::floats({2, 2}, kValues);
  const Constant copy = constant;
  std::weak_ptr<const void> storage = constant.elements().storage();
  EXPECT_EQ(constant.held_bytes(), sizeof(kValues));
  constant.hold_packed(packed(constant.elements()), unpacked);
  EXPECT_TRUE(storage.expired());
  EXPECT_EQ(copy.held_bytes(), 0U);
  EXPECT_EQ(copy.byte_size(), sizeof(kValues));
  EXPECT_EQ(copy.identity(), constant.identity());
  EXPECT_EQ(copy.shape(), (Shape{2, 2}));
  const Tensor back = copy.elements();
  EXPECT_TRUE(std::ranges::equal(back.as<float>(), kValues));
  EXPECT_EQ(constant.elements().data(), back.data());  // one copy for all who ask meanwhile
}

TEST(ConstantTest, KeepsElementsThatSomebodyUses) {
  const Constant constant = Tensor::floats({2, 2}, kValues);
  const Tensor used = constant.elements();
  constant.hold_packed(packed(used), unpacked);
  EXPECT_EQ(constant.elements().data(), used.data());
}

TEST(ConstantTest, IsPackedOnce) {
  const Constant constant = Tensor::floats({2, 2}, kValues);
  constant.hold_packed(packed(constant.elements()), unpacked);
  constant.hold_packed(Tensor(), [](const Tensor&) { return Tensor(); });
  EXPECT_TRUE(std::ranges::equal(constant.elements().as<float>(), kValues));
}

TEST(ConstantTest, AnyThreadMayAskWhileItIsPacked) {
  const Constant constant = Tensor::floats({2, 2}, kValues);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 1000; ++round) {
        const Tensor elements = constant.elements();
        if (!std::ranges::equal(elements.as<float>(), kValues)) ++wrong;
        if (i == 0 && round == 500) constant.hold_packed(packed(elements), unpacked);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace kerf
