#pragma once

#include <string>

// The networks of keras.applications with 1000 classes, as Keras 3 writes their configurations.
namespace kerf::layers::applications {

std::string vgg16();
std::string resnet50();
std::string resnet50_v2();
std::string mobilenet();
std::string mobilenet_v2();
std::string mobilenet_v3_large();
std::string efficientnet_b0();
std::string efficientnet_v2_b0();
std::string densenet121();
std::string inception_v3();
std::string xception();
std::string nasnet_mobile();
std::string convnext_tiny();

}  // namespace kerf::layers::applications
