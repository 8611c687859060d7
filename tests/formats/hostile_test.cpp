#include <gmock/gmock.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>

#include "formats/reader.h"
#include "graph/graph.h"
#include "kerf/error.h"
#include "tests/formats/hdf5_support.h"
#include "tests/formats/small_model.h"
#include "tests/formats/support.h"

// Files that are damaged, contradictory or made to harm: each is refused with an error that says
// what is wrong and where, and nothing worse happens. Run under AddressSanitizer and UBSan in CI.
namespace kerf::formats {
namespace {

namespace json = boost::json;
using test::config_at;
using test::deflated;
using test::float_dataset;
using test::layer_at;
using test::made_by_library;
using test::make_groups;
using test::number_attribute;
using test::raw_zip;
using test::RawMember;
using test::small_config;
using test::small_members;
using test::small_weights;
using test::TemporaryFolder;
using test::text_array;
using test::text_attribute;

struct Case {
  const char* name;
  // Makes the file; returns its path.
  std::function<std::filesystem::path(const TemporaryFolder&)> make;
  ErrorCode code = ErrorCode::kInvalidFile;
  std::vector<const char*> mentions{};
};

void PrintTo(const Case& tested, std::ostream* out) { *out << tested.name; }

std::filesystem::path write(const TemporaryFolder& folder, const std::string& bytes) {
  test::write_text(folder / "model.keras", bytes);
  return folder / "model.keras";
}

auto bytes(std::string text) {
  return [text = std::move(text)](const TemporaryFolder& folder) { return write(folder, text); };
}

// The small model with its members changed.
template <typename Change>
auto members(Change change) {
  return [change](const TemporaryFolder& folder) {
    std::vector<RawMember> list = small_members();
    change(list);
    return write(folder, raw_zip(list));
  };
}

// The small model with its configuration changed.
template <typename Change>
auto config(Change change) {
  return [change](const TemporaryFolder& folder) {
    json::object model = small_config();
    change(model);
    return write(folder, raw_zip(small_members(model)));
  };
}

auto config_text(std::string text) {
  return members([text](std::vector<RawMember>& list) { list[1].data = text; });
}

// A field of the first Dense layer set to a JSON value.
auto dense(const char* key, const char* value) {
  return config([=](json::object& model) { config_at(model, 1)[key] = json::parse(value); });
}

// The first Dense layer replaced by another class with this configuration.
auto layer(const char* class_name, const char* settings) {
  return config([=](json::object& model) {
    layer_at(model, 1)["class_name"] = class_name;
    config_at(model, 1) = json::parse(settings).as_object();
    config_at(model, 1)["name"] = "d";
  });
}

// The history of the tensor that layer `n` is called with.
json::array& history(json::object& model, std::size_t n) {
  return layer_at(model, n)["inbound_nodes"]
      .as_array()[0]
      .at("args")
      .as_array()[0]
      .at("config")
      .at("keras_history")
      .as_array();
}

// The small model with weights of the test's own.
auto weights(std::string text) {
  return members([text](std::vector<RawMember>& list) { list[2].data = text; });
}

// A dataset of the small model's first kernel, (4, 3), or of other dimensions, made by `options`.
void make_kernel(hid_t file, const std::vector<hsize_t>& dims, hid_t type,
                 const std::function<void(hid_t)>& options = {}) {
  make_groups(file, {"/layers/dense/vars", "/layers/dense_1/vars"});
  float_dataset(file, "/layers/dense/vars/0", dims, {}, type, options);
}

auto kernel(std::vector<hsize_t> dims, hid_t type, const std::function<void(hid_t)>& options = {}) {
  return weights(made_by_library([&](hid_t file) { make_kernel(file, dims, type, options); }));
}

// A whole-model HDF5 file of the small model without weights, to be finished by `more`.
auto legacy(const std::function<void(hid_t file)>& more, const char* version = "2.15.0") {
  return bytes(made_by_library([&](hid_t file) {
    make_groups(file, {"/model_weights/d", "/model_weights/e"});
    text_attribute(file, "/", "model_config", json::serialize(small_config()));
    text_attribute(file, "/", "keras_version", version);
    text_attribute(file, "/model_weights", "keras_version", version);
    more(file);
  }));
}

std::string nested_models(int depth, int calls) {
  std::string inner = R"({"class_name":"Dense","name":"d","config":{"name":"d","units":4},
      "inbound_nodes":[[["x",0,0,{}]]]})";
  std::string name = "d";
  for (int i = 0;; ++i) {
    std::string nodes;
    std::string from = "x";
    for (int call = 0; call < calls; ++call) {
      nodes += std::string(call == 0 ? "" : ",") + R"([[")" + from + R"(",)" +
               std::to_string(call == 0 ? 0 : call - 1) + ",0,{}]]";
      from = name;
    }
    if (i > 0) inner += R"(,"name":")" + name + R"(","inbound_nodes":[)" + nodes + "]}";
    const std::string whole = R"({"class_name":"Functional","config":{"name":"m","layers":[)"
                              R"({"class_name":"InputLayer","name":"x","config":{"name":"x",
            "batch_input_shape":[null,4]},"inbound_nodes":[]},)" +
                              inner + R"(],"input_layers":[["x",0,0]],"output_layers":[[")" + name +
                              R"(",)" + std::to_string(i == 0 ? 0 : calls - 1) + R"(,0]]})";
    if (i == depth) return whole + "}";
    inner = whole;
    name = "m" + std::to_string(i);
  }
}

const ErrorCode kInvalid = ErrorCode::kInvalidFile;
const ErrorCode kUnsupported = ErrorCode::kUnsupported;

std::vector<Case> file_cases() {
  return {
      {"MissingFile",
       [](const TemporaryFolder& folder) { return folder / "no.keras"; },
       ErrorCode::kNotFound,
       {"cannot be opened"}},
      {"EmptyFolder",
       [](const TemporaryFolder& folder) {
         std::filesystem::create_directory(folder / "model");
         return folder / "model";
       },
       kInvalid,
       {"config.json"}},
      {"SavedModelFolder",
       [](const TemporaryFolder& folder) {
         std::filesystem::create_directory(folder / "model");
         test::write_text(folder / "model/saved_model.pb", "x");
         return folder / "model";
       },
       kInvalid,
       {"saved_model.pb", "damaged"}},
      {"NotARegularFile",
       [](const TemporaryFolder&) { return std::filesystem::path("/dev/zero"); },
       kInvalid,
       {"regular file"}},
      {"EmptyFile", bytes(""), kUnsupported, {"empty"}},
      {"OneByte", bytes("P"), kUnsupported, {"neither"}},
      {"SomeText", bytes("a model? no."), kUnsupported, {"neither", "model.save"}},
      {"JsonFile", bytes(R"({"class_name": "Sequential"})"), kUnsupported, {"JSON"}},
      {"ZipSignatureOnly", bytes("PK\x03\x04"), kInvalid, {"zip"}},
      {"TruncatedZip",
       [](const TemporaryFolder& folder) {
         const std::string whole = raw_zip(small_members());
         return write(folder, whole.substr(0, whole.size() / 2));
       },
       kInvalid,
       {"truncated"}},
      {"EmptyZip",
       [](const TemporaryFolder& folder) { return write(folder, "PK\x03\x04" + raw_zip({})); },
       kInvalid,
       {"config.json"}},
      {"DirectoryBehindTheEnd",
       [](const TemporaryFolder& folder) {
         std::string file = raw_zip(small_members());
         file.replace(file.size() - 6, 4, "\xff\xff\xff\x7f");
         return write(folder, file);
       },
       kInvalid,
       {"directory"}},
      {"DirectoryOfTooManyMembers",
       [](const TemporaryFolder& folder) {
         std::string file = raw_zip(small_members());
         file.replace(file.size() - 12, 2, "\xf0\xff");
         return write(folder, file);
       },
       kInvalid,
       {"directory"}},
      {"DuplicateMember",
       members([](auto& list) { list.push_back(list[1]); }),
       kInvalid,
       {"config.json", "twice"}},
      {"DuplicateUnusedMember",
       members([](auto& list) {
         list.push_back({.name = "assets/a", .data = "1"});
         list.push_back({.name = "assets/a", .data = "2"});
       }),
       kInvalid,
       {"assets/a", "twice"}},
      {"MemberClaimsTerabytes",
       members([](auto& list) { list[2].size = 0xfffffff0; }),
       kInvalid,
       {"model.weights.h5", "bomb"}},
      {"ZipBomb",
       members([](auto& list) {
         const std::string zeros(std::size_t{80} << 20, '\0');
         list[2].method = 8;
         list[2].data = deflated(zeros);
         list[2].size = zeros.size();
       }),
       kInvalid,
       {"model.weights.h5", "bomb"}},
      {"ConfigBomb",
       members([](auto& list) {
         list[1].method = 8;
         list[1].size = std::uint64_t{300} << 20;
       }),
       kInvalid,
       {"config.json", "bomb"}},
      {"MemberLongerThanItsDirectorySays",
       members([](auto& list) {
         const std::string data = list[1].data;
         list[1].method = 8;
         list[1].data = deflated(data);
         list[1].size = data.size() - 10;
       }),
       kInvalid,
       {"config.json", "damaged"}},
      {"MemberShorterThanItsDirectorySays",
       members([](auto& list) {
         const std::string data = list[1].data;
         list[1].method = 8;
         list[1].data = deflated(data);
         list[1].size = data.size() + 10;
       }),
       kInvalid,
       {"config.json", "damaged"}},
      {"WrongCheckSum",
       members([](auto& list) { list[2].wrong_crc = true; }),
       kInvalid,
       {"model.weights.h5", "check sum"}},
      {"DamagedDeflate",
       members([](auto& list) {
         list[1].method = 8;
         list[1].size = list[1].data.size();
       }),
       kInvalid,
       {"config.json", "damaged"}},
      {"EncryptedMember",
       members([](auto& list) { list[1].flags = 1; }),
       kUnsupported,
       {"config.json", "encrypted"}},
      {"StrangeCompression",
       members([](auto& list) { list[1].method = 14; }),
       kUnsupported,
       {"config.json", "method 14"}},
      {"MemberOfAnotherName",
       members([](auto& list) { list[1].local_name = "other.json0"; }),
       kInvalid,
       {"config.json", "directory"}},
      {"NoConfig",
       members([](auto& list) { list.erase(list.begin() + 1); }),
       kInvalid,
       {"config.json"}},
      {"NoWeights", members([](auto& list) { list.pop_back(); }), kInvalid, {"model.weights.h5"}},
      {"PickledWeights",
       members([](auto& list) { list[2].name = "model.weights.npz"; }),
       kInvalid,
       {"pickle", "run code"}},
      {"PickledWeightsTwice",
       members([](auto& list) {
         list[2].name = "model.weights.npz";
         list.push_back(list[2]);
       }),
       kInvalid,
       {"model.weights.npz", "twice"}},
      {"BadMetadata",
       members([](auto& list) { list[0].data = "{"; }),
       kInvalid,
       {"metadata.json", "JSON"}},
      {"MetadataOfAnotherKind",
       members([](auto& list) { list[0].data = "[]"; }),
       kInvalid,
       {"metadata.json", "object"}},
  };
}

std::vector<Case> config_cases() {
  return {
      {"NotJson", config_text("{'a': 1}"), kInvalid, {"config.json", "JSON"}},
      {"TruncatedJson",
       config_text(R"({"class_name": "Functional", "config")"),
       kInvalid,
       {"config.json", "JSON"}},
      {"TrailingText", config_text("{} {}"), kInvalid, {"config.json", "JSON"}},
      {"InvalidUtf8", config_text("{\"class_name\": \"\xff\xfe\"}"), kInvalid, {"JSON"}},
      {"DeeplyNestedJson", config_text(std::string(100000, '[')), kInvalid, {"JSON", "deep"}},
      {"ConfigIsAList", config_text("[]"), kInvalid, {"config.json", "object"}},
      {"EmptyObject", config_text("{}"), kUnsupported, {"without a graph"}},
      {"SubclassedModel",
       config_text(R"({"class_name": "MyModel", "config": {"units": 3}})"),
       kUnsupported,
       {"MyModel", "Functional"}},
      {"LayersAreNoList",
       config([](auto& m) { m["config"].as_object()["layers"] = 3; }),
       kUnsupported,
       {"without a graph"}},
      {"FunctionalConfigIsAList",
       config([](auto& m) {
         m["class_name"] = "Functional";
         m["config"] = json::value(m["config"].as_object()["layers"]);
       }),
       kInvalid,
       {"Functional", "not an object"}},
      {"LayerIsNoObject",
       config([](auto& m) { m["config"].as_object()["layers"].as_array()[1] = 3; }),
       kInvalid,
       {"not an object"}},
      {"LayerWithoutName",
       config([](auto& m) {
         layer_at(m, 1).erase("name");
         config_at(m, 1).erase("name");
       }),
       kInvalid,
       {"Dense", "name"}},
      {"LayerWithoutClass",
       config([](auto& m) { layer_at(m, 1).erase("class_name"); }),
       kInvalid,
       {"class_name"}},
      {"TwoLayersOfOneName",
       config([](auto& m) { layer_at(m, 2)["name"] = "d"; }),
       kInvalid,
       {"two layers", "'d'"}},
      {"UnknownLayers",
       config([](auto& m) {
         layer_at(m, 1)["class_name"] = "Sponge";
         layer_at(m, 2)["class_name"] = "Cobble";
       }),
       kUnsupported,
       {"Sponge", "'d'", "Cobble", "'e'"}},
      {"LambdaIsNeverRun",
       config([](auto& m) {
         layer_at(m, 1)["class_name"] = "Lambda";
         config_at(m, 1)["function"] = "__import__('os').system('touch owned')";
       }),
       kUnsupported,
       {"Lambda", "'d'", "only its name is in the file"}},
      {"CustomClassOfAKnownName",
       config([](auto& m) { layer_at(m, 1)["module"] = "evil.layers"; }),
       kUnsupported,
       {"Dense", "'d'", "own Python code"}},
      {"RegisteredClassOfAKnownName",
       config([](auto& m) { layer_at(m, 1)["registered_name"] = "evil>Dense"; }),
       kUnsupported,
       {"Dense", "'d'", "own Python code"}},
      {"UnknownOperation",
       config([](auto& m) {
         layer_at(m, 1)["module"] = "keras.src.ops.numpy";
         layer_at(m, 1)["class_name"] = "Frobnicate";
       }),
       kUnsupported,
       {"operation Frobnicate", "'d'"}},
      {"Cycle", config([](auto& m) { history(m, 1)[0] = "e"; }), kInvalid, {"'e'", "cycle"}},
      {"CallOfItself", config([](auto& m) { history(m, 1)[0] = "d"; }), kInvalid, {"cycle"}},
      {"ReferenceToAMissingLayer",
       config([](auto& m) { history(m, 2)[0] = "ghost"; }),
       kInvalid,
       {"'ghost'"}},
      {"ReferenceToAMissingCall",
       config([](auto& m) { history(m, 2)[1] = 5; }),
       kInvalid,
       {"'e'", "not there"}},
      {"ReferenceToAMissingOutput",
       config([](auto& m) { history(m, 2)[2] = 5; }),
       kInvalid,
       {"output 5", "'d'"}},
      {"NegativeReference",
       config([](auto& m) { history(m, 2)[1] = -1; }),
       kInvalid,
       {"'e'", "out of range"}},
      {"HugeReference",
       config([](auto& m) { history(m, 2)[1] = 1LL << 40; }),
       kInvalid,
       {"'e'", "out of range"}},
      {"ReferenceOfAnotherKind",
       config([](auto& m) { history(m, 2)[1] = "zero"; }),
       kInvalid,
       {"'e'", "keras_history"}},
      {"NodesAreNoList",
       config([](auto& m) { layer_at(m, 1)["inbound_nodes"] = 1; }),
       kInvalid,
       {"'d'", "inbound_nodes"}},
      {"NodeIsNoCall",
       config([](auto& m) {
         layer_at(m, 1)["inbound_nodes"] = {1, 2};
       }),
       kInvalid,
       {"'d'", "inbound node"}},
      {"ArgumentsAreNoList",
       config(
           [](auto& m) { layer_at(m, 1)["inbound_nodes"].as_array()[0].as_object()["args"] = 1; }),
       kInvalid,
       {"'d'", "arguments"}},
      {"KeywordsAreNoObject",
       config([](auto& m) {
         layer_at(m, 1)["inbound_nodes"].as_array()[0].as_object()["kwargs"] = 1;
       }),
       kInvalid,
       {"'d'", "arguments"}},
      {"CallWithoutArguments",
       config([](auto& m) {
         layer_at(m, 1)["inbound_nodes"].as_array()[0].as_object()["args"].as_array().clear();
       }),
       kInvalid,
       {"'d'", "input"}},
      {"InputThatIsNone",
       config([](auto& m) {
         m["config"].as_object()["input_layers"] = {{"d", 0, 0}};
       }),
       kInvalid,
       {"'d'", "InputLayer"}},
      {"InputThatIsMissing",
       config([](auto& m) {
         m["config"].as_object()["input_layers"] = {{"y", 0, 0}};
       }),
       kInvalid,
       {"'y'", "InputLayer"}},
      {"NoOutputs",
       config([](auto& m) { m["config"].as_object().erase("output_layers"); }),
       kInvalid,
       {"no outputs"}},
      {"EmptyOutputs",
       config([](auto& m) { m["config"].as_object()["output_layers"] = json::array{}; }),
       kInvalid,
       {"no outputs"}},
      {"OutputsOfAnotherKind",
       config([](auto& m) { m["config"].as_object()["output_layers"] = "e"; }),
       kInvalid,
       {"tensor references"}},
      {"OutputOfAMissingLayer",
       config([](auto& m) {
         m["config"].as_object()["output_layers"] = {{"z", 0, 0}};
       }),
       kInvalid,
       {"'z'"}},
      {"DeeplyNestedModels", config_text(nested_models(100, 1)), kInvalid, {"deep"}},
      {"ExponentiallyManyCalls", config_text(nested_models(40, 2)), kInvalid, {"calls"}},
      {"NegativeUnits", dense("units", "-3"), kInvalid, {"'d'"}},
      {"UnknownUnits", dense("units", "-1"), kInvalid, {"'d'", "units"}},
      {"UnitsInWords", dense("units", "\"three\""), kInvalid, {"'d'", "units", "integer"}},
      {"UnitsAsAList", dense("units", "[3]"), kInvalid, {"'d'", "units", "integer"}},
      {"FractionalUnits", dense("units", "3.5"), kInvalid, {"'d'", "units", "integer"}},
      {"HugeUnits", dense("units", "1099511627776"), kInvalid, {"'d'", "units"}},
      {"EndlessUnits", dense("units", "1e300"), kInvalid, {"'d'", "units"}},
      {"NoUnits",
       config([](auto& m) { config_at(m, 1).erase("units"); }),
       kInvalid,
       {"'d'", "units", "missing"}},
      {"BiasOfAnotherKind", dense("use_bias", "\"maybe\""), kInvalid, {"'d'", "use_bias"}},
      {"UnknownActivation", dense("activation", "\"wobble\""), kUnsupported, {"'d'", "wobble"}},
      {"ActivationOfAnotherKind",
       dense("activation", "{\"a\": 1}"),
       kInvalid,
       {"'d'", "activation"}},
      {"NegativeDimension",
       config([](auto& m) {
         config_at(m, 0)["batch_shape"] = {nullptr, -5};
       }),
       kInvalid,
       {"'x'", "batch_shape"}},
      {"TooManyDimensions",
       config([](auto& m) { config_at(m, 0)["batch_shape"] = json::array(20, 2); }),
       kUnsupported,
       {"'x'", "dimensions"}},
      {"HugeInput",
       config([](auto& m) {
         config_at(m, 0)["batch_shape"] = {nullptr, 1LL << 50};
       }),
       kInvalid,
       {"'d'", "too large"}},
      {"ShapeOfAnotherKind",
       config([](auto& m) { config_at(m, 0)["batch_shape"] = "square"; }),
       kInvalid,
       {"'x'", "batch_shape"}},
      {"InputWithoutShape",
       config([](auto& m) { config_at(m, 0).erase("batch_shape"); }),
       kUnsupported,
       {"'x'", "shape"}},
      {"UnknownDtype",
       config([](auto& m) { config_at(m, 0)["dtype"] = "quaternion"; }),
       kUnsupported,
       {"'x'", "quaternion"}},
      {"TextInput",
       config([](auto& m) { config_at(m, 0)["dtype"] = "string"; }),
       kInvalid,
       {"'d'", "strings"}},
      {"SparseInput",
       config([](auto& m) { config_at(m, 0)["sparse"] = true; }),
       kUnsupported,
       {"'x'", "sparse"}},
      {"HugeReshape",
       layer("Reshape", R"({"target_shape": [1099511627776, 1099511627776]})"),
       kInvalid,
       {"'d'"}},
      {"ImpossibleReshape", layer("Reshape", R"({"target_shape": [7]})"), kInvalid, {"'d'"}},
      {"EmbeddingOfNegativeSize",
       layer("Embedding", R"({"input_dim": -1, "output_dim": 3})"),
       kInvalid,
       {"'d'"}},
      {"ConvolutionOfAVector",
       layer("Conv2D", R"({"filters": 3, "kernel_size": [3, 3]})"),
       kInvalid,
       {"'d'", "dimensions"}},
      {"PermutationOfTooMuch", layer("Permute", R"({"dims": [1, 2, 3]})"), kInvalid, {"'d'"}},
      {"ConcatenationOfNothing", layer("Concatenate", R"({"axis": 9})"), kInvalid, {"'d'"}},
      {"NormalizationAlongAMissingAxis",
       layer("BatchNormalization", R"({"axis": 7})"),
       kInvalid,
       {"'d'", "axis"}},
  };
}

std::vector<Case> weight_cases() {
  const auto external = [](hid_t creation) {
    H5Pset_external(creation, "/etc/passwd", 0, H5F_UNLIMITED);
  };
  const auto in_chunks = [](hid_t creation) {
    const std::array<hsize_t, 2> chunk{1 << 14, 1 << 14};
    H5Pset_chunk(creation, 2, chunk.data());
  };
  return {
      {"WeightsAreNoHdf5", weights("no weights"), kInvalid, {"model.weights.h5", "superblock"}},
      {"EmptyWeights", weights(""), kInvalid, {"model.weights.h5", "superblock"}},
      {"TruncatedWeights", weights(small_weights().substr(0, 600)), kInvalid, {"model.weights.h5"}},
      {"NoLayers",
       weights(small_weights([](Hdf5Writer& file) { file.group("/other"); })),
       kInvalid,
       {"layers"}},
      {"NoLayerGroups",
       weights(small_weights([](Hdf5Writer& file) { file.group("/layers"); })),
       kInvalid,
       {"'d'", "kernel", "'e'", "bias", "missing"}},
      {"OneWeightIsMissing",
       weights(small_weights([](Hdf5Writer& file) {
         file.group("/layers/dense/vars", "d");
         file.group("/layers/dense_1/vars", "e");
         file.dataset("/layers/dense_1/vars/0", Tensor::floats({3, 2}, std::vector<float>(6)));
         file.dataset("/layers/dense_1/vars/1", Tensor::floats({2}, std::vector<float>(2)));
         file.dataset("/layers/dense/vars/0", Tensor::floats({4, 3}, std::vector<float>(12)));
       })),
       kInvalid,
       {"'d'", "'bias'", "missing"}},
      {"WrongShape",
       weights(small_weights([](Hdf5Writer& file) {
         file.group("/layers/dense/vars", "d");
         file.dataset("/layers/dense/vars/0", Tensor::floats({3, 4}, std::vector<float>(12)));
       })),
       kInvalid,
       {"'d'", "kernel", "(3, 4)", "(4, 3)"}},
      {"WeightIsAGroup",
       weights(made_by_library([](hid_t file) {
         make_groups(file, {"/layers/dense/vars/0", "/layers/dense_1/vars"});
       })),
       kInvalid,
       {"/layers/dense/vars/0", "not a dataset"}},
      {"SoftLink",
       weights(made_by_library([](hid_t file) {
         make_kernel(file, {4, 3}, H5T_IEEE_F32LE);
         H5Ldelete(file, "/layers/dense/vars/0", H5P_DEFAULT);
         H5Lcreate_soft("/layers/dense_1", file, "/layers/dense/vars/0", H5P_DEFAULT, H5P_DEFAULT);
       })),
       kUnsupported,
       {"/layers/dense/vars/0", "link"}},
      {"DanglingLink",
       weights(made_by_library([](hid_t file) {
         make_groups(file, {"/layers/dense/vars", "/layers/dense_1/vars"});
         H5Lcreate_soft("/nowhere", file, "/layers/dense/vars/0", H5P_DEFAULT, H5P_DEFAULT);
       })),
       kUnsupported,
       {"/layers/dense/vars/0", "link"}},
      {"ExternalLink",
       weights(made_by_library([](hid_t file) {
         make_groups(file, {"/layers/dense/vars", "/layers/dense_1/vars"});
         H5Lcreate_external("/etc/passwd", "/", file, "/layers/dense/vars/0", H5P_DEFAULT,
                            H5P_DEFAULT);
       })),
       kUnsupported,
       {"/layers/dense/vars/0", "link"}},
      {"ExternalGroup",
       weights(made_by_library([](hid_t file) {
         H5Lcreate_external("other.h5", "/layers", file, "layers", H5P_DEFAULT, H5P_DEFAULT);
       })),
       kUnsupported,
       {"layers", "link"}},
      {"ExternalStorage",
       kernel({4, 3}, H5T_IEEE_F32LE, external),
       kUnsupported,
       {"/layers/dense/vars/0", "another file"}},
      {"NeverWritten",
       kernel({4, 3}, H5T_IEEE_F32LE),
       kInvalid,
       {"/layers/dense/vars/0", "missing"}},
      {"HugeShape", kernel({1ULL << 40, 3}, H5T_IEEE_F32LE), kInvalid, {"/layers/dense/vars/0"}},
      {"OverflowingShape",
       kernel({1ULL << 40, 1ULL << 40}, H5T_IEEE_F32LE),
       kInvalid,
       {"/layers/dense/vars/0", "shape"}},
      {"HugeChunkedShape",
       kernel({1 << 20, 1 << 20}, H5T_IEEE_F32LE, in_chunks),
       kInvalid,
       {"/layers/dense/vars/0"}},
      {"NineDimensions",
       kernel({1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, H5T_IEEE_F32LE),
       kUnsupported,
       {"/layers/dense/vars/0", "dimensions"}},
      {"TextWeights", kernel({4, 3}, H5T_C_S1), kUnsupported, {"/layers/dense/vars/0", "type"}},
      {"PointerWeights",
       kernel({4, 3}, H5T_STD_REF_OBJ),
       kUnsupported,
       {"/layers/dense/vars/0", "type"}},
      {"VirtualDataset",
       kernel({4, 3}, H5T_IEEE_F32LE,
              [](hid_t creation) {
                const std::array<hsize_t, 2> dims{4, 3};
                const hid_t space = H5Screate_simple(2, dims.data(), nullptr);
                H5Pset_virtual(creation, space, "/etc/passwd", "/x", space);
                H5Sclose(space);
              }),
       kUnsupported,
       {"/layers/dense/vars/0", "virtual"}},
  };
}

std::vector<Case> legacy_cases() {
  const auto nothing = [](hid_t) {};
  return {
      {"Hdf5SignatureOnly", bytes("\x89HDF\r\n\x1a\n"), kInvalid, {"superblock"}},
      {"WeightsOnly", bytes(small_weights()), kUnsupported, {"without a model", "model.save"}},
      {"ConfigIsANumber",
       bytes(made_by_library([](hid_t file) { number_attribute(file, "/", "model_config"); })),
       kInvalid,
       {"model_config", "text"}},
      {"ConfigIsNoJson",
       bytes(made_by_library([](hid_t file) { text_attribute(file, "/", "model_config", "no"); })),
       kInvalid,
       {"model_config", "JSON"}},
      {"NoWeightsGroup",
       bytes(made_by_library([](hid_t file) {
         text_attribute(file, "/", "model_config", json::serialize(small_config()));
       })),
       kInvalid,
       {"model_weights"}},
      {"Keras1WithoutWeights", legacy(nothing, "1.2.2"), kInvalid, {"'d'", "missing"}},
      {"Keras1WithOddWeights",
       legacy(
           [](hid_t file) {
             text_array(file, "/model_weights/d", "weight_names", {"d_W", "d_b", "d_c"});
           },
           "1.2.2"),
       kInvalid,
       {"'d'", "3 weights", "2 are expected"}},
      {"NoWeightNames", legacy(nothing), kInvalid, {"'d'", "missing"}},
      {"TooFewWeights",
       legacy([](hid_t file) {
         text_array(file, "/model_weights/d", "weight_names", {"kernel"});
         text_array(file, "/model_weights/e", "weight_names", {"kernel", "bias"});
       }),
       kInvalid,
       {"'d'", "1 weights", "2 are expected"}},
      {"NamesOfNothing",
       legacy([](hid_t file) {
         text_array(file, "/model_weights/d", "weight_names", {"kernel", "bias"});
         text_array(file, "/model_weights/e", "weight_names", {"kernel", "bias"});
       }),
       kInvalid,
       {"'d'", "kernel", "missing", "/model_weights/d/kernel"}},
      {"NamesThatAreNumbers",
       legacy([](hid_t file) { number_attribute(file, "/model_weights/d", "weight_names"); }),
       kInvalid,
       {"weight_names", "text"}},
      {"SoftLinkedLayer",
       legacy([](hid_t file) {
         text_array(file, "/model_weights/e", "weight_names", {"kernel", "bias"});
         H5Ldelete(file, "/model_weights/d", H5P_DEFAULT);
         H5Lcreate_soft("/model_weights/e", file, "/model_weights/d", H5P_DEFAULT, H5P_DEFAULT);
       }),
       kUnsupported,
       {"/model_weights/d", "link"}},
  };
}

class Hostile : public testing::TestWithParam<Case> {};

TEST_P(Hostile, IsRefusedWithAClearError) {
  const Case& tested = GetParam();
  const TemporaryFolder folder;
  const std::filesystem::path file = tested.make(folder);
  try {
    read_model(file);
    FAIL() << "the file was read";
  } catch (const Error& error) {
    EXPECT_EQ(error_code_name(error.code()), error_code_name(tested.code)) << error.what();
    EXPECT_THAT(error.where(), testing::HasSubstr(file.string()));
    for (const char* word : tested.mentions) {
      EXPECT_THAT(error.what(), testing::HasSubstr(word));
    }
  }
  EXPECT_FALSE(problems(file).empty());
}

std::string name_of(const testing::TestParamInfo<Case>& tested) { return tested.param.name; }
INSTANTIATE_TEST_SUITE_P(File, Hostile, testing::ValuesIn(file_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(Config, Hostile, testing::ValuesIn(config_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(Weights, Hostile, testing::ValuesIn(weight_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(Legacy, Hostile, testing::ValuesIn(legacy_cases()), name_of);

TEST(Reader, ReadsTheModelThatIsSpoiltAbove) {
  const TemporaryFolder folder;
  const auto graph = read_model(write(folder, raw_zip(small_members())));
  ASSERT_EQ(graph->layers().size(), 2U);
  EXPECT_EQ(graph->layers()[0].weights[0].value.elements().as<float>()[3], 1.0F);
}

TEST(Reader, ReadsWhatOtherZipToolsWrite) {
  const TemporaryFolder folder;
  std::vector<RawMember> list = small_members();
  for (RawMember& member : list) {
    const std::string data = member.data;
    member.method = 8;
    member.data = deflated(data);
    member.size = data.size();
    member.crc = test::crc_of(data);
  }
  std::swap(list[0], list[2]);
  list.insert(list.begin(), {.name = "assets/", .data = ""});
  list.push_back({.name = "notes.txt", .data = "by hand"});
  EXPECT_EQ(read_model(write(folder, raw_zip(list)))->layers().size(), 2U);
}

// HDF5 may begin behind a block of 512 bytes, or a power of two more, that are the user's; a
// weights file that stands there in a zip does not make that HDF5.
TEST(Reader, IsNotMisledByWhereTheWeightsStand) {
  const TemporaryFolder folder;
  constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);
  std::vector<RawMember> list = small_members();
  list.insert(list.begin(), RawMember{.name = "assets/padding", .data = {}});
  const std::size_t at = raw_zip(list).find(kSignature);
  ASSERT_LT(at, 4096U);
  list.front().data.assign(4096 - at, ' ');
  ASSERT_EQ(raw_zip(list).find(kSignature), 4096U);
  EXPECT_EQ(read_model(write(folder, raw_zip(list)))->layers().size(), 2U);
}

TEST(Reader, ReadsAnUnzippedModel) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "model");
  for (const RawMember& member : small_members()) {
    test::write_text(folder / "model" / member.name, member.data);
  }
  EXPECT_EQ(read_model(folder / "model")->layers().size(), 2U);
}

TEST(Reader, TellsEveryProblemAtOnce) {
  const TemporaryFolder folder;
  json::object model = small_config();
  config_at(model, 1)["units"] = 5;
  config_at(model, 2)["units"] = 6;
  const auto file = write(folder, raw_zip(small_members(model)));
  EXPECT_THAT(problems(file),
              testing::UnorderedElementsAre(
                  testing::AllOf(testing::HasSubstr("'d'"), testing::HasSubstr("'kernel'")),
                  testing::AllOf(testing::HasSubstr("'d'"), testing::HasSubstr("'bias'")),
                  testing::AllOf(testing::HasSubstr("'e'"), testing::HasSubstr("'kernel'")),
                  testing::AllOf(testing::HasSubstr("'e'"), testing::HasSubstr("'bias'"))));
}

TEST(Reader, ReportsItsProgress) {
  const TemporaryFolder folder;
  std::vector<double> shares;
  read_model(write(folder, raw_zip(small_members())),
             {.progress = [&](double share) { shares.push_back(share); }});
  ASSERT_GE(shares.size(), 3U);
  EXPECT_EQ(shares.front(), 0);
  EXPECT_EQ(shares.back(), 1);
  EXPECT_TRUE(std::ranges::is_sorted(shares));
}

// A changed file is either still a model or refused: nothing else, and never a crash.
void read_either_way(const std::filesystem::path& file) {
  try {
    read_model(file);
  } catch (const Error& error) {
    EXPECT_THAT(error.where(), testing::HasSubstr(file.string()));
    EXPECT_FALSE(error.message().empty());
  }
}

std::vector<std::pair<const char*, std::string>> small_files() {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "x");
  std::vector<std::pair<const char*, std::string>> files;
  files.emplace_back("zip", raw_zip(small_members()));
  const auto legacy_model = legacy([](hid_t file) {
    text_array(file, "/model_weights/d", "weight_names", {"kernel", "bias"});
    text_array(file, "/model_weights/e", "weight_names", {"kernel", "bias"});
  });
  files.emplace_back("hdf5", test::read_text(legacy_model(folder)));
  return files;
}

TEST(Damage, TruncationsAnywhere) {
  const TemporaryFolder folder;
  for (const auto& [kind, whole] : small_files()) {
    SCOPED_TRACE(kind);
    for (std::size_t length = 0; length < whole.size(); length += 131) {
      SCOPED_TRACE(length);
      read_either_way(write(folder, whole.substr(0, length)));
    }
  }
}

TEST(Damage, FlippedBytesAnywhere) {
  const TemporaryFolder folder;
  for (const auto& [kind, whole] : small_files()) {
    SCOPED_TRACE(kind);
    for (std::size_t at = 0; at < whole.size(); at += 31) {
      SCOPED_TRACE(at);
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
      read_either_way(write(folder, changed));
      changed[at] = static_cast<char>(~whole[at]);
      read_either_way(write(folder, changed));
    }
  }
}

// Weights inside a zip are protected by its check sum; here it is made right again, so that the
// damage reaches the HDF5 reader.
TEST(Damage, FlippedBytesOfWeights) {
  const TemporaryFolder folder;
  const std::string whole = small_weights();
  for (std::size_t at = 0; at < whole.size(); at += 17) {
    SCOPED_TRACE(at);
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    read_either_way(write(folder, raw_zip(small_members(small_config(), changed))));
  }
}

TEST(Damage, FlippedBytesOfAConfiguration) {
  const TemporaryFolder folder;
  const std::string whole = json::serialize(small_config());
  for (std::size_t at = 0; at < whole.size(); at += 3) {
    SCOPED_TRACE(at);
    std::vector<RawMember> list = small_members();
    list[1].data[at] = static_cast<char>(whole[at] ^ (1 << (at % 7)));
    read_either_way(write(folder, raw_zip(list)));
  }
}

}  // namespace
}  // namespace kerf::formats
