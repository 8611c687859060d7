#include "model/support_page.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "layers/refused_classes.h"
#include "layers/registry.h"
#include "layers/tensorflow_operations.h"

namespace kerf {
namespace {

constexpr std::string_view kHead = R"(# What kerf reads and runs

Written by `kerf layers > docs/support.md`, from the tables that kerf itself works by; a test fails
when this page is not what that command prints. Whatever is not here is refused when a model is
loaded, by the name of its layer and the field, never at the first request.

## Files

Files are known by what is in them, whatever they are called.

| file | read | refused |
| --- | --- | --- |
| `.keras` of Keras 3.0 to 3.16 and of TensorFlow 2.11 to 2.15 | zipped, or unzipped as a folder; every way in which those versions number their weights; sharded weights | encrypted or damaged zips, weights as Python pickles (`model.weights.npz`) |
| HDF5 (`.h5`, `.hdf5`) of a whole model | Keras 1, 2 and 3; weights trained on Theano; layers of cuDNN; with an optimizer's state or without; forms of HDF5 up to 1.14; gzip, LZF, shuffle | soft and external links, virtual datasets, other filters |
| A configuration and weights apart: `model.to_json()` and `save_weights()` | Keras 1, 2 and 3; HDF5 of either layout, sharded weights (`.weights.json`), checkpoints; the weights found beside the configuration by name, or given to `kerf convert --weights` | weights without a configuration, configurations in YAML |
| SavedModel of tf.keras | with its Keras metadata, in `keras_metadata.pb` or in `saved_model.pb` | of plain TensorFlow, of `export()`, and of subclassed models: operations without layers |
| TensorFlow.js layers model (`model.json` and shards) | float32, and quantised to float16, uint16 or uint8 | graph models |

All of these become a `.keras` file that Keras 3 loads with `kerf convert`. What Keras 3 computes
otherwise is made up for in the weights (the `hard_sigmoid` of Keras 2); what it has no equal of is
refused by name.

Files of other kinds (TensorFlow Lite, ONNX, PyTorch, pickles, frozen graphs, archives, Git LFS
pointers, ...) are named for what they are, with what to do.

Subclassed models are read where the file has a Functional or Sequential configuration; what is
Python code alone is refused. Custom losses, metrics and optimizers change no prediction and are not
looked at.

## Layers

All options of a layer that change what it computes at inference are read, except these.
`data_format`, masks, `dtype` and `activation` need no row: channels first and last, masks wherever
Keras passes them on, and every activation that Keras names are known. Types narrower or wider than
float32 are computed in float32.

| layer | refused | |
| --- | --- | --- |
)";

std::string refusals(const layers::LayerDefinition& definition) {
  std::string text;
  for (const layers::Refusal& refusal : definition.refuses) {
    if (!text.empty()) text += "; ";
    text += refusal.option == "name" ? std::string(refusal.values)
                                     : fmt::format("`{}`: {}", refusal.option, refusal.values);
  }
  return text;
}

}  // namespace

std::string support_page() {
  const layers::Registry& registry = layers::Registry::instance();
  std::string page(kHead);
  for (const layers::LayerDefinition* layer : registry.definitions(false)) {
    page += fmt::format("| {} | {} | {} |\n", layer->class_name, refusals(*layer), layer->note);
  }
  page += "\nNested models, shared layers and `Input` need no layer of their own.\n";
  page += "\n## Refused layers\n\n| layer | why: it |\n| --- | --- |\n";
  for (const auto& [name, reason] : layers::refused_classes()) {
    page += fmt::format("| {} | {} |\n", name, reason);
  }
  page +=
      "\n## Operations\n\nThese operations of `keras.ops` in a graph, with these arguments; others "
      "are refused by name.\n\n";
  for (const layers::LayerDefinition* operation : registry.definitions(true)) {
    page += fmt::format("- {}({})\n", operation->class_name, fmt::join(operation->arguments, ", "));
  }
  page +=
      "\n## Functions of TensorFlow\n\nThese functions of TensorFlow, which tf.keras wrote into "
      "graphs as `TFOpLambda` and `SlicingOpLambda`, also in `math`, `nn` and `linalg`:\n\n";
  for (const std::string_view name : layers::tensorflow_functions()) {
    page += fmt::format("- {}\n", name);
  }
  return page;
}

}  // namespace kerf
