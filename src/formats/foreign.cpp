#include "formats/foreign.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace kerf::formats {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kSave =
    "load it where it was made and save it with model.save('model.keras')";
constexpr std::string_view kOriginal = "serve the Keras model that it was converted from";

struct Magic {
  std::size_t at = 0;
  std::string_view bytes;
  std::string_view what;
  std::string_view advice;
};

constexpr Magic kMagics[] = {
    {4, "TFL3"sv, "a TensorFlow Lite model", kOriginal},
    {0, "GGUF"sv, "a GGUF file of llama.cpp", "kerf runs models of Keras only"},
    {0, "\x80\x02\x8a\nl\xfc\x9c\x46\xf9"sv, "a model of PyTorch",
     "kerf runs models of Keras only"},
    {0, "\x93NUMPY"sv, "an array of NumPy, not a model", "give the model's own file"},
    {0, "version https://git-lfs"sv, "a pointer of Git LFS, in place of the file",
     "fetch the file with `git lfs pull`"},
    {0, "\x1f\x8b"sv, "a file compressed by gzip", "unpack it first"},
    {0, "BZh"sv, "a file compressed by bzip2", "unpack it first"},
    {0, "\xfd\x37zXZ"sv, "a file compressed by xz", "unpack it first"},
    {0, "\x28\xb5\x2f\xfd"sv, "a file compressed by zstd", "unpack it first"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7-Zip archive", "unpack it first"},
    {0, "Rar!"sv, "a RAR archive", "unpack it first"},
    {257, "ustar"sv, "a tar archive", "unpack it first"},
    {0, "\x00\x05\x16\x07"sv, "what macOS keeps beside a file ('._...'), not the file",
     "give the file of the same name without '._'"},
    {0, "model_checkpoint_path"sv, "the list of a checkpoint of TensorFlow", kSave},
    {0, "MATLAB 5.0"sv, "a file of MATLAB", "kerf runs models of Keras only"},
};

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string say(std::string_view what, std::string_view advice) {
  return fmt::format("it is {}; {}", what, advice);
}

bool holds(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Formats without a magic number, from how Protocol Buffers begin: ONNX with the version of its
// form, 3 or more; a SavedModel with version 1; a graph of TensorFlow with its first node.
std::optional<std::string> protobuf(std::string_view head) {
  if (head.size() < 16) return std::nullopt;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(head[i]); };
  if (byte(0) == 0x08 && byte(1) >= 3 && byte(1) < 32 &&
      (byte(2) == 0x12 || byte(2) == 0x3a || byte(2) == 0x42)) {
    return say("an ONNX model", kOriginal);
  }
  if (byte(0) == 0x08 && byte(1) == 0x01 && byte(2) == 0x12) {
    return say("the saved_model.pb of a SavedModel", "give the folder that it is in");
  }
  if (byte(0) == 0x0a && byte(1) < 0x80 && byte(2) == 0x0a) {
    if (holds(head, "_tf_keras_")) {
      return say("the keras_metadata.pb of a SavedModel", "give the folder that it is in");
    }
    if (holds(head, "Placeholder") || holds(head, "Const")) {
      return say("a frozen graph of TensorFlow, operations without layers", kSave);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> foreign_file(std::span<const std::byte> head,
                                        std::span<const std::byte> tail) {
  const std::string_view text = text_of(head);
  for (const Magic& magic : kMagics) {
    if (text.size() >= magic.at + magic.bytes.size() &&
        text.substr(magic.at, magic.bytes.size()) == magic.bytes) {
      return say(magic.what, magic.advice);
    }
  }
  // The end of a table of TensorFlow's checkpoints.
  if (text_of(tail).ends_with("\x57\xfb\x80\x8b\x24\x75\x47\xdb"sv)) {
    return say("the index of a checkpoint of TensorFlow, variables without a model", kSave);
  }
  if (text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5) {
    return say("a pickle of Python, which can run code and which kerf never loads",
               "load it where you trust it and save the model with model.save('model.keras')");
  }
  if (text.size() > 9 && text[8] == '{' && text[9] == '"') {
    return say("a file of safetensors, weights without a model", kSave);
  }
  const std::string_view begin =
      text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  if (begin.starts_with("<!DOCTYPE") || begin.starts_with("<!doctype") ||
      begin.starts_with("<html")) {
    return say("a web page", "the download of the model did not work; download the file itself");
  }
  if (begin.starts_with("<?xml") && holds(begin, "<net")) {
    return say("a model of OpenVINO", kOriginal);
  }
  if (begin.starts_with("backend:") || begin.starts_with("class_name:") ||
      begin.starts_with("config:")) {
    return say("a model's configuration in YAML, without its weights", kSave);
  }
  return protobuf(text);
}

std::optional<std::string> foreign_zip(const Archive& archive) {
  const auto find = [&](auto&& fits) {
    const auto it = std::ranges::find_if(archive.names(), fits);
    return it == archive.names().end() ? std::string() : *it;
  };
  const auto ends = [&](std::string_view end) {
    return find([&](const std::string& name) { return name.ends_with(end); });
  };
  if (!ends("data.pkl").empty()) return say("a model of PyTorch", "kerf runs models of Keras only");
  if (!ends("model.safetensors").empty()) return say("a file of safetensors", kSave);
  if (const std::string inner = ends("saved_model.pb"); !inner.empty()) {
    return say(fmt::format("a zipped SavedModel ('{}')", inner), "unzip it and give the folder");
  }
  for (const std::string_view end : {".keras", ".h5", ".hdf5"}) {
    const std::string inner = ends(end);
    if (!inner.empty() && !inner.ends_with("model.weights.h5")) {
      return say(fmt::format("a zip file that holds '{}'", inner), "unzip it and give that");
    }
  }
  if (const std::string inner = ends("model.json"); !inner.empty()) {
    return say(fmt::format("a zip file that holds '{}'", inner), "unzip it first");
  }
  const bool arrays =
      !archive.names().empty() && std::ranges::all_of(archive.names(), [](const std::string& name) {
        return name.ends_with(".npy");
      });
  if (arrays) return say("an .npz file of arrays, not a model", "give the model's own file");
  if (archive.has("[Content_Types].xml"))
    return say("a document of an office suite", "give a model");
  return std::nullopt;
}

}  // namespace kerf::formats
