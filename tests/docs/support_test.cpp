#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "layers/refused_classes.h"
#include "layers/registry.h"
#include "model/support_page.h"

// docs/support.md says what the code does.
namespace kerf {
namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// The first group of every match.
std::set<std::string> matches(const std::string& text, const char* pattern) {
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
    found.insert((*it)[1]);
  }
  return found;
}

TEST(SupportPage, IsWhatTheCommandPrints) {
  EXPECT_EQ(text_of(KERF_SOURCE_DIR "/docs/support.md"), support_page())
      << "run `build/release/kerf layers > docs/support.md`";
}

TEST(SupportPage, NamesEveryOptionThatALayerRefuses) {
  std::set<std::string> refused;
  for (const auto& entry :
       std::filesystem::directory_iterator(KERF_SOURCE_DIR "/src/layers/keras")) {
    const std::string source = text_of(entry.path());
    for (const std::string& option : matches(source, "unsupported\\(\\s*\"(\\w+)\"")) {
      EXPECT_TRUE(source.find("{\"" + option + "\",") != std::string::npos)
          << entry.path().filename() << " refuses values of '" << option
          << "': name it in the `refuses` of the layer's definition";
      refused.insert(option);
    }
  }
  for (const layers::LayerDefinition* layer : layers::Registry::instance().definitions(false)) {
    for (const layers::Refusal& refusal : layer->refuses) {
      EXPECT_TRUE(refused.contains(std::string(refusal.option)) || refusal.option == "num_tokens")
          << layer->class_name << " says that it refuses '" << refusal.option << "'";
    }
  }
}

TEST(SupportPage, SaysOfNoLayerThatItIsMissing) {
  for (const auto& [name, reason] : layers::refused_classes()) {
    EXPECT_EQ(layers::Registry::instance().find(name, false), nullptr)
        << name << " is known: take it out of src/layers/refused_classes.cpp";
  }
}

// The layers that keras.layers of Keras 3.16 exports, and those that only older versions had.
TEST(SupportPage, NamesEveryLayerOfKeras) {
  for (const char* name : {"Activation",
                           "ActivityRegularization",
                           "AdaptiveAveragePooling1D",
                           "AdaptiveAveragePooling2D",
                           "AdaptiveAveragePooling3D",
                           "AdaptiveMaxPooling1D",
                           "AdaptiveMaxPooling2D",
                           "AdaptiveMaxPooling3D",
                           "Add",
                           "AdditiveAttention",
                           "AlphaDropout",
                           "Attention",
                           "AugMix",
                           "AutoContrast",
                           "Average",
                           "AveragePooling1D",
                           "AveragePooling2D",
                           "AveragePooling3D",
                           "BatchNormalization",
                           "Bidirectional",
                           "CategoryEncoding",
                           "CenterCrop",
                           "Concatenate",
                           "ContrastLimitedAdaptiveHistogramEqualization",
                           "Conv1D",
                           "Conv1DTranspose",
                           "Conv2D",
                           "Conv2DTranspose",
                           "Conv3D",
                           "Conv3DTranspose",
                           "ConvLSTM1D",
                           "ConvLSTM2D",
                           "ConvLSTM3D",
                           "Cropping1D",
                           "Cropping2D",
                           "Cropping3D",
                           "CutMix",
                           "Dense",
                           "DenseFeatures",
                           "DepthwiseConv1D",
                           "DepthwiseConv2D",
                           "Discretization",
                           "Dot",
                           "Dropout",
                           "ELU",
                           "EinsumDense",
                           "Embedding",
                           "Equalization",
                           "Flatten",
                           "FlaxLayer",
                           "GRU",
                           "GRUCell",
                           "GaussianDropout",
                           "GaussianNoise",
                           "GlobalAveragePooling1D",
                           "GlobalAveragePooling2D",
                           "GlobalAveragePooling3D",
                           "GlobalMaxPooling1D",
                           "GlobalMaxPooling2D",
                           "GlobalMaxPooling3D",
                           "GroupNormalization",
                           "GroupQueryAttention",
                           "HashedCrossing",
                           "Hashing",
                           "Highway",
                           "Identity",
                           "IntegerLookup",
                           "JaxLayer",
                           "LSTM",
                           "LSTMCell",
                           "Lambda",
                           "Layer",
                           "LayerNormalization",
                           "LeakyReLU",
                           "LocallyConnected1D",
                           "LocallyConnected2D",
                           "Masking",
                           "MaxNumBoundingBoxes",
                           "MaxPooling1D",
                           "MaxPooling2D",
                           "MaxPooling3D",
                           "Maximum",
                           "MaxoutDense",
                           "MelSpectrogram",
                           "Minimum",
                           "MixUp",
                           "MultiHeadAttention",
                           "Multiply",
                           "Normalization",
                           "PReLU",
                           "ParametricSoftplus",
                           "Permute",
                           "Pipeline",
                           "RMSNormalization",
                           "RNN",
                           "RandAugment",
                           "RandomBrightness",
                           "RandomColorDegeneration",
                           "RandomColorJitter",
                           "RandomContrast",
                           "RandomCrop",
                           "RandomElasticTransform",
                           "RandomErasing",
                           "RandomFlip",
                           "RandomFourierFeatures",
                           "RandomGaussianBlur",
                           "RandomGrayscale",
                           "RandomHeight",
                           "RandomHue",
                           "RandomInvert",
                           "RandomPerspective",
                           "RandomPosterization",
                           "RandomRotation",
                           "RandomSaturation",
                           "RandomSharpness",
                           "RandomShear",
                           "RandomTranslation",
                           "RandomWidth",
                           "RandomZoom",
                           "ReLU",
                           "RepeatVector",
                           "Rescaling",
                           "Reshape",
                           "Resizing",
                           "ReversibleEmbedding",
                           "SReLU",
                           "STFTSpectrogram",
                           "SeparableConv1D",
                           "SeparableConv2D",
                           "SimpleRNN",
                           "SimpleRNNCell",
                           "Softmax",
                           "Solarization",
                           "SpatialDropout1D",
                           "SpatialDropout2D",
                           "SpatialDropout3D",
                           "SpectralNormalization",
                           "StackedRNNCells",
                           "StringLookup",
                           "Subtract",
                           "SyncBatchNormalization",
                           "TFSMLayer",
                           "TernaryDense",
                           "TextVectorization",
                           "ThresholdedReLU",
                           "TimeDistributed",
                           "TorchModuleWrapper",
                           "UnitNormalization",
                           "UpSampling1D",
                           "UpSampling2D",
                           "UpSampling3D",
                           "Wrapper",
                           "ZeroPadding1D",
                           "ZeroPadding2D",
                           "ZeroPadding3D"}) {
    EXPECT_TRUE(layers::Registry::instance().find(name, false) != nullptr ||
                layers::refused_classes().contains(name))
        << name;
  }
}

}  // namespace
}  // namespace kerf
