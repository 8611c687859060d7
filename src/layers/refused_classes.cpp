#include "layers/refused_classes.h"

namespace kerf::layers {

const std::map<std::string_view, std::string_view>& refused_classes() {
  constexpr std::string_view kNotYet = "is not one that kerf knows";
  constexpr std::string_view kForeign =
      "holds a model of another framework, which kerf does not run; save the model that it was "
      "made from";
  constexpr std::string_view kNoLayer = "computes nothing by itself; only classes made from it do";
  constexpr std::string_view kColumns =
      "reads feature columns, which Keras 3 dropped; use Keras' preprocessing layers";
  static const std::map<std::string_view, std::string_view> kClasses{
      {"ContrastLimitedAdaptiveHistogramEqualization", kNotYet},
      {"DenseFeatures", kColumns},
      {"FlaxLayer", kForeign},
      {"JaxLayer", kForeign},
      {"LSTMCell", kNotYet},
      {"GRUCell", kNotYet},
      {"SimpleRNNCell", kNotYet},
      {"StackedRNNCells", kNotYet},
      {"Layer", kNoLayer},
      {"LinearModel", kColumns},
      {"TFSMLayer",
       "reads a TensorFlow SavedModel beside the file, which kerf does not run; save the model "
       "that it was exported from"},
      {"TorchModuleWrapper", kForeign},
      {"WideDeepModel", kColumns}};
  return kClasses;
}

}  // namespace kerf::layers
