#include "layers/snake_case.h"

#include <gtest/gtest.h>

#include <map>

namespace kerf::layers {
namespace {

// The names Keras gives to the folders of its classes.
TEST(SnakeCase, NamesFoldersAsKerasDoes) {
  const std::map<std::string, std::string> folders{
      {"Dense", "dense"},
      {"EinsumDense", "einsum_dense"},
      {"Conv2D", "conv2d"},
      {"Conv2DTranspose", "conv2d_transpose"},
      {"DepthwiseConv2D", "depthwise_conv2d"},
      {"SeparableConv1D", "separable_conv1d"},
      {"ConvLSTM2D", "conv_lstm2d"},
      {"MaxPooling2D", "max_pooling2d"},
      {"GlobalAveragePooling1D", "global_average_pooling1d"},
      {"BatchNormalization", "batch_normalization"},
      {"RMSNormalization", "rms_normalization"},
      {"ReLU", "re_lu"},
      {"ELU", "elu"},
      {"PReLU", "p_re_lu"},
      {"LeakyReLU", "leaky_re_lu"},
      {"LSTM", "lstm"},
      {"LSTMCell", "lstm_cell"},
      {"GRUCell", "gru_cell"},
      {"SimpleRNNCell", "simple_rnn_cell"},
      {"StackedRNNCells", "stacked_rnn_cells"},
      {"TimeDistributed", "time_distributed"},
      {"MultiHeadAttention", "multi_head_attention"},
      {"STFTSpectrogram", "stft_spectrogram"},
      {"TFSMLayer", "tfsm_layer"},
      {"UpSampling2D", "up_sampling2d"},
      {"InputLayer", "input_layer"},
      {"Functional", "functional"},
      {"my-Layer!", "my_layer"},
      {"", ""},
  };
  for (const auto& [class_name, folder] : folders) EXPECT_EQ(snake_case(class_name), folder);
}

}  // namespace
}  // namespace kerf::layers
