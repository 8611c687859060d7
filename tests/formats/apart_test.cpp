#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <cstring>

#include "formats/archive.h"
#include "formats/hdf5_file.h"
#include "formats/hdf5_writer.h"
#include "formats/json.h"
#include "formats/reader.h"
#include "formats/weight_store.h"
#include "kerf/error.h"
#include "kerf/model.h"
#include "tests/formats/hdf5_support.h"
#include "tests/formats/small_model.h"
#include "tests/formats/support.h"

// Models whose configuration and weights are in files of their own.
namespace kerf::formats {
namespace {

namespace fs = std::filesystem;
using test::TemporaryFolder;
using test::write_text;

std::string member(const fs::path& file, const char* name) {
  const InputFile input(file);
  return std::string(Archive(input).read(name, std::uint64_t{1} << 40)->text());
}

void expect_same(const graph::Graph& a, const graph::Graph& b) {
  ASSERT_EQ(a.layers().size(), b.layers().size());
  ASSERT_EQ(a.outputs().size(), b.outputs().size());
  for (std::size_t i = 0; i < a.layers().size(); ++i) {
    SCOPED_TRACE(a.layers()[i].path);
    EXPECT_EQ(a.layers()[i].path, b.layers()[i].path);
    ASSERT_EQ(a.layers()[i].weights.size(), b.layers()[i].weights.size());
    for (std::size_t k = 0; k < a.layers()[i].weights.size(); ++k) {
      const Tensor x = a.layers()[i].weights[k].value.elements();
      const Tensor y = b.layers()[i].weights[k].value.elements();
      ASSERT_EQ(x.byte_size(), y.byte_size());
      EXPECT_EQ(std::memcmp(x.data(), y.data(), x.byte_size()), 0);
    }
  }
}

void expect_refused(const fs::path& file, const std::string& why) {
  try {
    read_model(file);
    ADD_FAILURE() << file << " was read";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
  }
}

TEST(Apart, ReadsAConfigurationAndTheWeightsBesideIt) {
  for (const fs::path& file : test::golden_models(".keras")) {
    SCOPED_TRACE(file.string());
    const auto whole = read_model(file);
    const TemporaryFolder folder;
    // Which of Keras 3 wrote a text it does not say: the rules of masks changed between them.
    boost::json::value config = parse_json(member(file, "config.json"), "config");
    const boost::json::value metadata = parse_json(member(file, "metadata.json"), "metadata");
    config.as_object()["keras_version"] = metadata.at("keras_version");
    write_text(folder / "net.json", boost::json::serialize(config));
    write_text(folder / "net.weights.h5", member(file, "model.weights.h5"));
    for (const char* path : {"net.json", "net.weights.h5", "."}) {
      SCOPED_TRACE(path);
      expect_same(*whole, *read_model(folder / path));
    }
    write_text(folder / "other.h5", member(file, "model.weights.h5"));
    expect_same(*whole, *read_model(folder / "net.json", {.weights = folder / "other.h5"}));
  }
}

// As save_weights() of Keras 2 writes them: what is below /model_weights stands at the root.
TEST(Apart, ReadsWeightsInTheLayoutOfKeras2) {
  for (const fs::path& path : test::golden_models(".h5")) {
    SCOPED_TRACE(path.string());
    const auto whole = read_model(path);
    const std::string bytes = test::read_text(path);
    const auto buffer = std::make_shared<FileBuffer>(bytes.size());
    std::memcpy(buffer->data(), bytes.data(), bytes.size());
    const Hdf5File source(buffer, "source");
    boost::json::value config = parse_json(*source.text_attribute("/", "model_config"), "config");
    config.as_object()["keras_version"] = *source.text_attribute("/", "keras_version");
    const TemporaryFolder folder;
    write_text(folder / "model.json", boost::json::serialize(config));
    write_text(folder / "model.h5", test::made_by_library([&](hid_t file) {
                 const hid_t from = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
                 for (const std::string& child : source.children("/model_weights")) {
                   H5Ocopy(from, ("/model_weights/" + child).c_str(), file, child.c_str(),
                           H5P_DEFAULT, H5P_DEFAULT);
                 }
                 H5Fclose(from);
                 test::text_attribute(file, "/", "keras_version",
                                      *source.text_attribute("/", "keras_version"));
                 test::text_array(file, "/", "layer_names",
                                  *source.text_array("/model_weights", "layer_names"), true);
               }));
    expect_same(*whole, *read_model(folder / "model.json"));
    expect_same(*whole, *read_model(folder / "model.h5"));
  }
}

// The group that was begun in the first file stands there, empty.
std::string shard(bool first) {
  Hdf5Writer writer;
  writer.group("/layers/dense/vars", first ? "d" : "");
  writer.group("/layers/dense_1/vars", first ? "e" : "");
  const std::vector<float> values(16, 0.5F);
  const auto some = [&](const Shape& shape) {
    return Tensor::floats(shape,
                          std::span(values).first(static_cast<std::size_t>(shape.element_count())));
  };
  if (first) {
    writer.dataset("/layers/dense/vars/0", some({4, 3}));
    writer.dataset("/layers/dense/vars/1", some({3}));
  } else {
    writer.dataset("/layers/dense_1/vars/0", some({3, 2}));
    writer.dataset("/layers/dense_1/vars/1", some({2}));
  }
  const std::vector<std::byte> bytes = writer.finish();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr const char* kIndex = R"({"metadata": {"total_size": 92.0}, "weight_map": {
  "/layers/dense/vars": ["model_00000.weights.h5"],
  "/layers/dense_1/vars": "model_00001.weights.h5"}})";

TEST(Apart, ReadsWeightsInSeveralFiles) {
  const TemporaryFolder folder;
  const std::string config = boost::json::serialize(test::small_config());
  write_text(folder / "config.json", config);
  write_text(folder / "model.weights.json", kIndex);
  write_text(folder / "model_00000.weights.h5", shard(true));
  write_text(folder / "model_00001.weights.h5", shard(false));
  EXPECT_EQ(read_model(folder / ".")->layers().back().weights.size(), 2U);
  EXPECT_EQ(read_model(folder / "model.weights.json")->layers().back().weights.size(), 2U);
  write_text(folder / "a.keras",
             test::raw_zip({{.name = "config.json", .data = config},
                            {.name = "model.weights.json", .data = kIndex},
                            {.name = "model_00000.weights.h5", .data = shard(true)},
                            {.name = "model_00001.weights.h5", .data = shard(false)}}));
  EXPECT_EQ(read_model(folder / "a.keras")->layers().back().weights.size(), 2U);
  fs::remove(folder / "model_00001.weights.h5");
  expect_refused(folder / ".", "model_00001.weights.h5");
  for (const char* name : {"../x.h5", "/etc/passwd", "", ".."}) {
    write_text(folder / "model.weights.json",
               std::string(R"({"weight_map": {"/layers": [")") + name + "\"]}}");
    expect_refused(folder / ".", "is not the name of a file beside this one");
  }
}

TEST(Apart, ReadsFoldersThatWereZippedWhole) {
  const TemporaryFolder folder;
  std::vector<test::RawMember> members = test::small_members();
  for (test::RawMember& entry : members) entry.name = "my model/" + entry.name;
  write_text(folder / "m.keras", test::raw_zip(members));
  EXPECT_EQ(read_model(folder / "m.keras")->layers().size(), 2U);
}

TEST(Apart, SaysWhatIsMissing) {
  const TemporaryFolder folder;
  write_text(folder / "a.json", boost::json::serialize(test::small_config()));
  expect_refused(folder / "a.json", "without its weights; put them beside it as 'a.weights.h5'");
  write_text(folder / "b.h5", test::small_weights());
  fs::remove(folder / "a.json");
  expect_refused(folder / "b.h5", "weights without a model; put what model.to_json() gives");
  write_text(folder / "checkpoint", "model_checkpoint_path: \"x\"");
  expect_refused(folder / ".", "checkpoints, variables without a model");
  expect_refused(folder / "checkpoint", "list of a checkpoint");
}

struct Foreign {
  std::string bytes;
  const char* what;
};

TEST(Foreign, FilesAreKnownByTheirContent) {
  using namespace std::string_literals;
  const std::string rest(64, '\1');
  const TemporaryFolder folder;
  const std::vector<Foreign> files = {
      {"\x1c\0\0\0TFL3"s + rest, "TensorFlow Lite"},
      {"\x08\x08\x12\x05tf2onnx"s + rest, "ONNX"},
      {"\x80\x04\x95\x10\0\0\0\0\0\0\0"s + rest, "pickle"},
      {"\x0a\x20\x0a\x01x\x12\x0bPlaceholder"s + rest, "frozen graph"},
      {"\x08\x01\x12\x99\x20\x0a"s + rest, "give the folder"},
      {"version https://git-lfs.github.com/spec/v1\n"s, "git lfs pull"},
      {"<!DOCTYPE html><html>"s, "web page"},
      {"\x20\0\0\0\0\0\0\0{\"a\":1}"s + rest, "safetensors"},
      {"GGUF"s + rest, "GGUF"},
      {"\x1f\x8b\x08"s + rest, "gzip"},
      {rest + "\x57\xfb\x80\x8b\x24\x75\x47\xdb"s, "checkpoint"},
      {"backend: tensorflow\nclass_name: Sequential\n"s, "YAML"},
      {"\x93NUMPY\x01\0"s + rest, "NumPy"},
      {""s, "the file is empty"},
      {rest, "neither a .keras file nor an HDF5 file"},
      {"{\"a\": 1}"s, "no model's configuration"},
      {test::raw_zip({{.name = "archive/data.pkl", .data = "x"}}), "PyTorch"},
      {test::raw_zip({{.name = "arr_0.npy", .data = "x"}}), ".npz"},
      {test::raw_zip({{.name = "m/saved_model.pb", .data = "x"}}), "zipped SavedModel"},
      {test::raw_zip({{.name = "m.h5", .data = "x"}}), "holds 'm.h5'"},
      {test::raw_zip({{.name = "notes.txt", .data = "x"}}), "it has no config.json"},
  };
  for (const Foreign& file : files) {
    SCOPED_TRACE(file.what);
    write_text(folder / "model.keras", file.bytes);
    expect_refused(folder / "model.keras", file.what);
  }
}

}  // namespace
}  // namespace kerf::formats
