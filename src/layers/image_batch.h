#pragma once

#include <fmt/format.h>

#include "layers/image_axes.h"
#include "layers/operation.h"

namespace kerf::layers {

// The images that an operation of keras.ops takes, one or a batch of them, with the channels first
// or last: as a batch with the channels last, which they are computed in.
class ImageBatch {
 public:
  // Throws Error where `images`, the operation's argument of that name, are of another rank.
  ImageBatch(Operation& op, ValueId images)
      : op_(op), images_(images), single_(op.rank(images) == 3) {
    if (single_) images_ = op.with_axis(images_, 0);
    if (op.rank(images_) != 4) {
      op.invalid("images", fmt::format("has the shape {}", op.shape(images_).to_string()));
    }
    channels_first_ = op.arguments().channels_first();
    if (channels_first_) images_ = to_channels_last(op.call(), images_);
  }

  ValueId images() const noexcept { return images_; }
  // What was computed of them becomes the operation's output, in the form the images had.
  void output(ValueId result) {
    if (channels_first_) result = to_channels_first(op_.call(), result);
    op_.output(single_ ? op_.without_axis(result, 0) : result);
  }

 private:
  Operation& op_;
  ValueId images_;
  bool single_;
  bool channels_first_ = false;
};

}  // namespace kerf::layers
