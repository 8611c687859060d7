#include "tests/layers/applications.h"

#include <algorithm>
#include <cmath>

#include "tests/layers/network.h"

namespace kerf::layers::applications {
namespace {

using Tensor = std::string;
using Tensors = std::vector<Tensor>;

// What the networks are made of.
class Blocks : public Network {
 public:
  struct Convolution {
    int filters = 0;
    int size = 1;
    int stride = 1;
    bool bias = false;
    bool same = true;
    int groups = 1;
    int width = 0;  // of the window, if it is not `size`
    const char* activation = "linear";
  };
  static Config config(const Convolution& c) {
    return {{"filters", c.filters},
            {"kernel_size", json::array{c.size, c.width != 0 ? c.width : c.size}},
            {"strides", json::array{c.stride, c.stride}},
            {"padding", c.same ? "same" : "valid"},
            {"groups", c.groups},
            {"activation", c.activation},
            {"use_bias", c.bias}};
  }
  Tensor conv(const Tensor& x, const Convolution& c) { return add("Conv2D", config(c), x); }
  Tensor norm(const Tensor& x, bool scale = true) {
    return add("BatchNormalization", {{"axis", 3}, {"epsilon", 1e-3}, {"scale", scale}}, x);
  }
  Tensor act(const Tensor& x, const char* function = "relu") {
    return add("Activation", {{"activation", function}}, x);
  }
  Tensor relu6(const Tensor& x) { return add("ReLU", {{"max_value", 6.0}}, x); }
  Tensor depthwise(const Tensor& x, int size, int stride, bool same = true) {
    return add("DepthwiseConv2D",
               {{"kernel_size", size},
                {"strides", stride},
                {"padding", same ? "same" : "valid"},
                {"use_bias", false}},
               x);
  }
  Tensor separable(const Tensor& x, int filters, int size, int stride = 1, bool same = true) {
    return add("SeparableConv2D",
               {{"filters", filters},
                {"kernel_size", size},
                {"strides", stride},
                {"padding", same ? "same" : "valid"},
                {"use_bias", false}},
               x);
  }
  Tensor pad(const Tensor& x, int before, int after) {
    return add("ZeroPadding2D",
               {{"padding", json::array{json::array{before, after}, json::array{before, after}}}},
               x);
  }
  Tensor pool(const Tensor& x, const char* kind, int size, int stride, bool same = false) {
    return add(std::string(kind) + "Pooling2D",
               {{"pool_size", size}, {"strides", stride}, {"padding", same ? "same" : "valid"}}, x);
  }
  Tensor mean(const Tensor& x, bool keep = false) {
    return add("GlobalAveragePooling2D", {{"keepdims", keep}}, x);
  }
  Tensor dense(const Tensor& x, int units, const char* activation = "linear") {
    return add("Dense", {{"units", units}, {"activation", activation}}, x);
  }
  Tensor sum(const Tensor& a, const Tensor& b) { return add("Add", {}, Tensors{a, b}); }
  Tensor join(const Tensors& xs) { return add("Concatenate", {{"axis", 3}}, xs); }
  std::string classified(const Tensor& x) { return json_of(dense(x, 1000, "softmax")); }
  // Of a side, as `stride` leaves it.
  static int shrunk(int side, int stride) { return (side + stride - 1) / stride; }
};

}  // namespace

std::string vgg16() {
  Blocks net;
  Tensor x = net.input({224, 224, 3});
  for (const auto& [filters, count] : {std::pair{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}}) {
    for (int i = 0; i < count; ++i) {
      x = net.conv(x, {.filters = filters, .size = 3, .bias = true, .activation = "relu"});
    }
    x = net.pool(x, "Max", 2, 2);
  }
  x = net.add("Flatten", {}, x);
  return net.classified(net.dense(net.dense(x, 4096, "relu"), 4096, "relu"));
}

std::string resnet50() {
  Blocks net;
  Tensor x = net.pad(net.input({224, 224, 3}), 3, 3);
  x = net.act(
      net.norm(net.conv(x, {.filters = 64, .size = 7, .stride = 2, .bias = true, .same = false})));
  x = net.pool(net.pad(x, 1, 1), "Max", 3, 2);
  for (const auto& [filters, count] : {std::pair{64, 3}, {128, 4}, {256, 6}, {512, 3}}) {
    for (int i = 0; i < count; ++i) {
      const int stride = i == 0 && filters != 64 ? 2 : 1;
      const Tensor shortcut =
          i != 0 ? x
                 : net.norm(net.conv(
                       x, {.filters = 4 * filters, .stride = stride, .bias = true, .same = false}));
      Tensor y = net.act(net.norm(
          net.conv(x, {.filters = filters, .stride = stride, .bias = true, .same = false})));
      y = net.act(net.norm(net.conv(y, {.filters = filters, .size = 3, .bias = true})));
      y = net.norm(net.conv(y, {.filters = 4 * filters, .bias = true}));
      x = net.act(net.sum(shortcut, y));
    }
  }
  return net.classified(net.mean(x));
}

std::string resnet50_v2() {
  Blocks net;
  Tensor x = net.pad(net.input({224, 224, 3}), 3, 3);
  x = net.conv(x, {.filters = 64, .size = 7, .stride = 2, .bias = true, .same = false});
  x = net.pool(net.pad(x, 1, 1), "Max", 3, 2);
  for (const auto& [filters, count] : {std::pair{64, 3}, {128, 4}, {256, 6}, {512, 3}}) {
    for (int i = 0; i < count; ++i) {
      const int stride = i + 1 == count && filters != 512 ? 2 : 1;
      const Tensor before = net.act(net.norm(x));
      Tensor shortcut = x;
      if (i == 0) {
        shortcut = net.conv(before, {.filters = 4 * filters, .stride = stride, .bias = true});
      } else if (stride == 2) {
        shortcut = net.pool(x, "Max", 1, 2);
      }
      Tensor y = net.act(net.norm(net.conv(before, {.filters = filters})));
      y = net.conv(net.pad(y, 1, 1),
                   {.filters = filters, .size = 3, .stride = stride, .same = false});
      y = net.conv(net.act(net.norm(y)), {.filters = 4 * filters, .bias = true});
      x = net.sum(shortcut, y);
    }
  }
  return net.classified(net.mean(net.act(net.norm(x))));
}

std::string mobilenet() {
  Blocks net;
  Tensor x = net.input({224, 224, 3});
  x = net.relu6(net.norm(net.conv(x, {.filters = 32, .size = 3, .stride = 2})));
  for (const auto& [filters, stride] : {std::pair{64, 1},
                                        {128, 2},
                                        {128, 1},
                                        {256, 2},
                                        {256, 1},
                                        {512, 2},
                                        {512, 1},
                                        {512, 1},
                                        {512, 1},
                                        {512, 1},
                                        {512, 1},
                                        {1024, 2},
                                        {1024, 1}}) {
    if (stride == 2) x = net.pad(x, 0, 1);
    x = net.relu6(net.norm(net.depthwise(x, 3, stride, stride == 1)));
    x = net.relu6(net.norm(net.conv(x, {.filters = filters})));
  }
  x = net.conv(net.mean(x, true), {.filters = 1000, .bias = true});
  x = net.add("Reshape", {{"target_shape", json::array{1000}}}, x);
  return net.json_of(net.act(x, "softmax"));
}

std::string mobilenet_v2() {
  Blocks net;
  Tensor x = net.input({224, 224, 3});
  x = net.relu6(net.norm(net.conv(x, {.filters = 32, .size = 3, .stride = 2})));
  int in = 32;
  struct Stage {
    int expansion, filters, count, stride;
  };
  for (const Stage& s : {Stage{1, 16, 1, 1},
                         {6, 24, 2, 2},
                         {6, 32, 3, 2},
                         {6, 64, 4, 2},
                         {6, 96, 3, 1},
                         {6, 160, 3, 2},
                         {6, 320, 1, 1}}) {
    for (int i = 0; i < s.count; ++i) {
      const int stride = i == 0 ? s.stride : 1;
      Tensor y = x;
      if (s.expansion != 1) {
        y = net.relu6(net.norm(net.conv(y, {.filters = s.expansion * in})));
      }
      if (stride == 2) y = net.pad(y, 0, 1);
      y = net.relu6(net.norm(net.depthwise(y, 3, stride, stride == 1)));
      y = net.norm(net.conv(y, {.filters = s.filters}));
      x = stride == 1 && in == s.filters ? net.sum(x, y) : y;
      in = s.filters;
    }
  }
  return net.classified(net.mean(net.relu6(net.norm(net.conv(x, {.filters = 1280})))));
}

namespace {

// Rounded to a multiple of 8, and not much less than asked for.
int eighths(double value) {
  const int rounded = std::max(8, static_cast<int>(value + 4) / 8 * 8);
  return rounded < 0.9 * value ? rounded + 8 : rounded;
}

Tensor hard_sigmoid(Blocks& net, const Tensor& x) {
  return net.operation("Multiply", net.relu6(net.operation("Add", x, 3.0)), 1.0 / 6);
}
Tensor hard_swish(Blocks& net, const Tensor& x) {
  return net.add("Multiply", {}, Tensors{x, hard_sigmoid(net, x)});
}

}  // namespace

std::string mobilenet_v3_large() {
  Blocks net;
  Tensor x = net.input({224, 224, 3});
  x = net.add("Rescaling", {{"scale", 1 / 127.5}, {"offset", -1.0}}, x);
  x = hard_swish(net, net.norm(net.conv(x, {.filters = 16, .size = 3, .stride = 2})));
  struct Stage {
    double expansion;
    int filters, size, stride;
    bool squeezes, swishes;
  };
  int in = 16;
  bool first = true;
  for (const Stage& s : {Stage{1, 16, 3, 1, false, false},
                         {4, 24, 3, 2, false, false},
                         {3, 24, 3, 1, false, false},
                         {3, 40, 5, 2, true, false},
                         {3, 40, 5, 1, true, false},
                         {3, 40, 5, 1, true, false},
                         {6, 80, 3, 2, false, true},
                         {2.5, 80, 3, 1, false, true},
                         {2.3, 80, 3, 1, false, true},
                         {2.3, 80, 3, 1, false, true},
                         {6, 112, 3, 1, true, true},
                         {6, 112, 3, 1, true, true},
                         {6, 160, 5, 2, true, true},
                         {6, 160, 5, 1, true, true},
                         {6, 160, 5, 1, true, true}}) {
    const auto act = [&](const Tensor& y) {
      return s.swishes ? hard_swish(net, y) : net.add("ReLU", {}, y);
    };
    const int wide = eighths(in * s.expansion);
    Tensor y = x;
    if (!first) y = act(net.norm(net.conv(y, {.filters = wide})));
    if (s.stride == 2) y = net.pad(y, s.size / 2 - 1, s.size / 2);
    y = act(net.norm(net.depthwise(y, s.size, s.stride, s.stride == 1)));
    if (s.squeezes) {
      Tensor gate = net.conv(net.mean(y, true), {.filters = eighths(wide * 0.25), .bias = true});
      gate = net.conv(net.add("ReLU", {}, gate), {.filters = wide, .bias = true});
      y = net.add("Multiply", {}, Tensors{y, hard_sigmoid(net, gate)});
    }
    y = net.norm(net.conv(y, {.filters = s.filters}));
    x = s.stride == 1 && in == s.filters ? net.sum(x, y) : y;
    in = s.filters;
    first = false;
  }
  x = hard_swish(net, net.norm(net.conv(x, {.filters = 960})));
  x = hard_swish(net, net.conv(net.mean(x, true), {.filters = 1280, .bias = true}));
  x = net.conv(net.add("Dropout", {{"rate", 0.2}}, x), {.filters = 1000, .bias = true});
  return net.json_of(net.act(net.add("Flatten", {}, x), "softmax"));
}

namespace {

// Each channel by what the whole image says of it.
Tensor excited(Blocks& net, const Tensor& x, int squeezed, int channels) {
  Tensor gate = net.add("Reshape", {{"target_shape", json::array{1, 1, channels}}}, net.mean(x));
  gate = net.conv(gate, {.filters = squeezed, .bias = true, .activation = "silu"});
  gate = net.conv(gate, {.filters = channels, .bias = true, .activation = "sigmoid"});
  return net.add("Multiply", {}, Tensors{x, gate});
}

}  // namespace

std::string efficientnet_b0() {
  Blocks net;
  Tensor x = net.add("Rescaling", {{"scale", 1.0 / 255}}, net.input({224, 224, 3}));
  x = net.pad(net.add("Normalization", {{"axis", json::array{-1}}}, x), 0, 1);
  x = net.conv(x, {.filters = 32, .size = 3, .stride = 2, .same = false});
  x = net.act(net.norm(x), "silu");
  struct Stage {
    int size, count, filters, expansion, stride;
  };
  int in = 32;
  int side = 112;
  for (const Stage& s : {Stage{3, 1, 16, 1, 1},
                         {3, 2, 24, 6, 2},
                         {5, 2, 40, 6, 2},
                         {3, 3, 80, 6, 2},
                         {5, 3, 112, 6, 1},
                         {5, 4, 192, 6, 2},
                         {3, 1, 320, 6, 1}}) {
    for (int i = 0; i < s.count; ++i) {
      const int stride = i == 0 ? s.stride : 1;
      const int wide = in * s.expansion;
      Tensor y = x;
      if (s.expansion != 1) y = net.act(net.norm(net.conv(y, {.filters = wide})), "silu");
      if (stride == 2) y = net.pad(y, s.size / 2 - (1 - side % 2), s.size / 2);
      y = net.act(net.norm(net.depthwise(y, s.size, stride, stride == 1)), "silu");
      y = net.norm(net.conv(excited(net, y, in / 4, wide), {.filters = s.filters}));
      x = stride == 1 && in == s.filters ? net.sum(net.add("Dropout", {{"rate", 0.1}}, y), x) : y;
      in = s.filters;
      side = Blocks::shrunk(side, stride);
    }
  }
  x = net.act(net.norm(net.conv(x, {.filters = 1280})), "silu");
  return net.classified(net.add("Dropout", {{"rate", 0.2}}, net.mean(x)));
}

std::string efficientnet_v2_b0() {
  Blocks net;
  Tensor x = net.add("Rescaling", {{"scale", 1.0 / 255}}, net.input({224, 224, 3}));
  x = net.add("Normalization",
              {{"axis", json::array{-1}},
               {"mean", json::array{0.485, 0.456, 0.406}},
               {"variance", json::array{0.0524, 0.0502, 0.0506}}},
              x);
  x = net.act(net.norm(net.conv(x, {.filters = 32, .size = 3, .stride = 2})), "silu");
  struct Stage {
    int count, filters, expansion, stride;
    bool fused;
  };
  int in = 32;
  for (const Stage& s : {Stage{1, 16, 1, 1, true},
                         {2, 32, 4, 2, true},
                         {2, 48, 4, 2, true},
                         {3, 96, 4, 2, false},
                         {5, 112, 6, 1, false},
                         {8, 192, 6, 2, false}}) {
    for (int i = 0; i < s.count; ++i) {
      const int stride = i == 0 ? s.stride : 1;
      const int wide = in * s.expansion;
      Tensor y = x;
      if (s.fused) {
        if (s.expansion != 1) {
          y = net.conv(y, {.filters = wide, .size = 3, .stride = stride});
          y = net.norm(net.conv(net.act(net.norm(y), "silu"), {.filters = s.filters}));
        } else {
          y = net.conv(y, {.filters = s.filters, .size = 3, .stride = stride});
          y = net.act(net.norm(y), "silu");
        }
      } else {
        y = net.act(net.norm(net.conv(y, {.filters = wide})), "silu");
        y = net.act(net.norm(net.depthwise(y, 3, stride)), "silu");
        y = net.norm(net.conv(excited(net, y, in / 4, wide), {.filters = s.filters}));
      }
      x = stride == 1 && in == s.filters ? net.sum(y, x) : y;
      in = s.filters;
    }
  }
  x = net.act(net.norm(net.conv(x, {.filters = 1280})), "silu");
  return net.classified(net.mean(x));
}

std::string densenet121() {
  Blocks net;
  Tensor x = net.pad(net.input({224, 224, 3}), 3, 3);
  x = net.act(net.norm(net.conv(x, {.filters = 64, .size = 7, .stride = 2, .same = false})));
  x = net.pool(net.pad(x, 1, 1), "Max", 3, 2);
  int channels = 64;
  for (const int count : {6, 12, 24, 16}) {
    for (int i = 0; i < count; ++i) {
      Tensor y = net.conv(net.act(net.norm(x)), {.filters = 128});
      y = net.conv(net.act(net.norm(y)), {.filters = 32, .size = 3});
      x = net.join({x, y});
      channels += 32;
    }
    x = net.act(net.norm(x));
    if (count == 16) break;
    channels /= 2;
    x = net.pool(net.conv(x, {.filters = channels}), "Average", 2, 2);
  }
  return net.classified(net.mean(x));
}

std::string inception_v3() {
  Blocks net;
  const auto conv = [&](const Tensor& x, int filters, int height, int width, int stride = 1,
                        bool same = true) {
    return net.act(net.norm(
        net.conv(
            x,
            {.filters = filters, .size = height, .stride = stride, .same = same, .width = width}),
        false));
  };
  const auto pooled = [&](const Tensor& x, int filters) {
    return conv(net.pool(x, "Average", 3, 1, true), filters, 1, 1);
  };
  Tensor x = conv(net.input({299, 299, 3}), 32, 3, 3, 2, false);
  x = net.pool(conv(conv(x, 32, 3, 3, 1, false), 64, 3, 3), "Max", 3, 2);
  x = net.pool(conv(conv(x, 80, 1, 1, 1, false), 192, 3, 3, 1, false), "Max", 3, 2);
  for (const int last : {32, 64, 64}) {
    x = net.join({conv(x, 64, 1, 1), conv(conv(x, 48, 1, 1), 64, 5, 5),
                  conv(conv(conv(x, 64, 1, 1), 96, 3, 3), 96, 3, 3), pooled(x, last)});
  }
  x = net.join({conv(x, 384, 3, 3, 2, false),
                conv(conv(conv(x, 64, 1, 1), 96, 3, 3), 96, 3, 3, 2, false),
                net.pool(x, "Max", 3, 2)});
  for (const int n : {128, 160, 160, 192}) {
    const Tensor seven = conv(conv(conv(x, n, 1, 1), n, 1, 7), 192, 7, 1);
    Tensor twice = conv(conv(conv(x, n, 1, 1), n, 7, 1), n, 1, 7);
    twice = conv(conv(twice, n, 7, 1), 192, 1, 7);
    x = net.join({conv(x, 192, 1, 1), seven, twice, pooled(x, 192)});
  }
  x = net.join({conv(conv(x, 192, 1, 1), 320, 3, 3, 2, false),
                conv(conv(conv(conv(x, 192, 1, 1), 192, 1, 7), 192, 7, 1), 192, 3, 3, 2, false),
                net.pool(x, "Max", 3, 2)});
  for (int i = 0; i < 2; ++i) {
    const Tensor three = conv(x, 384, 1, 1);
    const Tensor twice = conv(conv(x, 448, 1, 1), 384, 3, 3);
    x = net.join({conv(x, 320, 1, 1), net.join({conv(three, 384, 1, 3), conv(three, 384, 3, 1)}),
                  net.join({conv(twice, 384, 1, 3), conv(twice, 384, 3, 1)}), pooled(x, 192)});
  }
  return net.classified(net.mean(x));
}

std::string xception() {
  Blocks net;
  Tensor x = net.input({299, 299, 3});
  x = net.act(net.norm(net.conv(x, {.filters = 32, .size = 3, .stride = 2, .same = false})));
  x = net.act(net.norm(net.conv(x, {.filters = 64, .size = 3, .same = false})));
  const auto reduced = [&](const Tensor& from, int first, int second, bool activated) {
    const Tensor shortcut = net.norm(net.conv(from, {.filters = second, .stride = 2}));
    Tensor y = activated ? net.act(from) : from;
    y = net.act(net.norm(net.separable(y, first, 3)));
    y = net.pool(net.norm(net.separable(y, second, 3)), "Max", 3, 2, true);
    return net.sum(y, shortcut);
  };
  x = reduced(x, 128, 128, false);
  x = reduced(x, 256, 256, true);
  x = reduced(x, 728, 728, true);
  for (int block = 0; block < 8; ++block) {
    Tensor y = x;
    for (int i = 0; i < 3; ++i) y = net.norm(net.separable(net.act(y), 728, 3));
    x = net.sum(y, x);
  }
  x = reduced(x, 728, 1024, true);
  x = net.act(net.norm(net.separable(x, 1536, 3)));
  x = net.act(net.norm(net.separable(x, 2048, 3)));
  return net.classified(net.mean(x));
}

namespace {

// NASNet's cells. A tensor with its side and channels, by which cells are fitted together.
class NasNet : public Blocks {
 public:
  struct Image {
    Tensor x;
    int side = 0;
    int channels = 0;
  };

  Image normal(const Image& in, const Image& before, int filters) {
    const Tensor p = adjusted(before, in, filters);
    const Tensor h = entered(in, filters);
    const Tensor a = sum(twice(h, in.side, filters, 5, 1), twice(p, in.side, filters, 3, 1));
    const Tensor b = sum(twice(p, in.side, filters, 5, 1), twice(p, in.side, filters, 3, 1));
    const Tensor c = sum(pool(h, "Average", 3, 1, true), p);
    const Tensor d = sum(pool(p, "Average", 3, 1, true), pool(p, "Average", 3, 1, true));
    const Tensor e = sum(twice(h, in.side, filters, 3, 1), h);
    return {join({p, a, b, c, d, e}), in.side, 6 * filters};
  }

  Image reduced(const Image& in, const Image& before, int filters) {
    const Tensor p = adjusted(before, in, filters);
    const Tensor h = entered(in, filters);
    const Tensor h3 = corrected(h, in.side, 3);
    const Tensor a = sum(twice(h, in.side, filters, 5, 2), twice(p, in.side, filters, 7, 2));
    const Tensor b = sum(pool(h3, "Max", 3, 2), twice(p, in.side, filters, 7, 2));
    const Tensor c = sum(pool(h3, "Average", 3, 2), twice(p, in.side, filters, 5, 2));
    const Tensor d = sum(b, pool(a, "Average", 3, 1, true));
    const int side = shrunk(in.side, 2);
    const Tensor e = sum(twice(a, side, filters, 3, 1), pool(h3, "Max", 3, 2));
    return {join({b, c, d, e}), side, 4 * filters};
  }

 private:
  Tensor corrected(const Tensor& x, int side, int size) {
    return pad(x, size / 2 - (1 - side % 2), size / 2);
  }
  // Two separable convolutions, the first with the stride.
  Tensor twice(const Tensor& x, int side, int filters, int size, int stride) {
    Tensor y = act(x);
    if (stride == 2) y = corrected(y, side, size);
    y = act(norm(separable(y, filters, size, stride, stride == 1)));
    return norm(separable(y, filters, size));
  }
  Tensor entered(const Image& in, int filters) {
    return norm(conv(act(in.x), {.filters = filters}));
  }
  Tensor adjusted(const Image& before, const Image& in, int filters) {
    if (before.x.empty()) return in.x;
    if (before.side != in.side) {
      const Tensor p = act(before.x);
      const Tensor a = conv(pool(p, "Average", 1, 2), {.filters = filters / 2});
      Tensor b =
          add("Cropping2D", {{"cropping", json::array{json::array{1, 0}, json::array{1, 0}}}},
              pad(p, 0, 1));
      b = conv(pool(b, "Average", 1, 2), {.filters = filters / 2});
      return norm(join({a, b}));
    }
    if (before.channels != filters) return norm(conv(act(before.x), {.filters = filters}));
    return before.x;
  }
};

}  // namespace

std::string nasnet_mobile() {
  NasNet net;
  const int filters = 1056 / 24;
  NasNet::Image before;
  NasNet::Image x{net.norm(net.conv(net.input({224, 224, 3}),
                                    {.filters = 32, .size = 3, .stride = 2, .same = false})),
                  111, 32};
  const auto step = [&](const NasNet::Image& next) {
    before = x;
    x = next;
  };
  step(net.reduced(x, before, filters / 4));
  step(net.reduced(x, before, filters / 2));
  for (int stage = 0; stage < 3; ++stage) {
    const int width = filters << stage;
    if (stage > 0) step(net.reduced(x, before, width));
    for (int i = 0; i < 4; ++i) step(net.normal(x, before, width));
  }
  return net.classified(net.mean(net.act(x.x)));
}

std::string convnext_tiny() {
  Blocks net;
  const auto norm = [] {
    return std::pair<std::string, json::object>{"LayerNormalization", {{"epsilon", 1e-6}}};
  };
  Tensor x = net.add("Normalization",
                     {{"axis", json::array{-1}},
                      {"mean", json::array{123.7, 116.3, 103.5}},
                      {"variance", json::array{3409.9, 3262.7, 3290.1}}},
                     net.input({224, 224, 3}));
  int index = 0;
  for (const auto& [width, count] : {std::pair{96, 3}, {192, 3}, {384, 9}, {768, 3}}) {
    const int size = index == 0 ? 4 : 2;
    const std::pair<std::string, json::object> conv{
        "Conv2D",
        Blocks::config(
            {.filters = width, .size = size, .stride = size, .bias = true, .same = false})};
    x = index++ == 0 ? net.sequential({conv, norm()}, x) : net.sequential({norm(), conv}, x);
    for (int i = 0; i < count; ++i) {
      Tensor y = net.conv(x, {.filters = width, .size = 7, .bias = true, .groups = width});
      y = net.dense(net.add("LayerNormalization", {{"epsilon", 1e-6}}, y), 4 * width);
      y = net.dense(net.act(y, "gelu"), width);
      y = net.add("LayerScale", {{"init_values", 1e-6}, {"projection_dim", width}}, y);
      x = net.sum(x, net.add("StochasticDepth", {{"drop_path_rate", 0.1}}, y));
    }
  }
  x = net.add("LayerNormalization", {{"epsilon", 1e-6}}, net.mean(x));
  return net.classified(x);
}

}  // namespace kerf::layers::applications
