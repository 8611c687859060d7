#include "protocol/metadata.h"

#include <span>
#include <string_view>

#include "protocol/json_text.h"

namespace kerf::protocol {
namespace {

void write_tensors(Buffer& out, std::span<const TensorInfo> tensors) {
  out.push_back('[');
  for (const TensorInfo& tensor : tensors) {
    if (&tensor != tensors.data()) out.push_back(',');
    out.append("{\"name\":");
    append_string(out, tensor.name);
    out.append(",\"datatype\":\"");
    out.append(dtype_protocol_name(tensor.dtype));
    out.append("\",\"shape\":[");
    for (std::size_t axis = 0; axis < tensor.shape.rank(); ++axis) {
      if (axis != 0) out.push_back(',');
      append_integer(out, tensor.shape[axis]);
    }
    out.append("]}");
  }
  out.push_back(']');
}

}  // namespace

void write_model_metadata(Buffer& out, const serving::ServedModel& model,
                          const serving::Snapshot& models) {
  out.append("{\"name\":");
  append_string(out, model.name());
  out.append(",\"versions\":[");
  const char* separator = "";
  for (const serving::ModelVersion& version : models.entry(model.name())->versions) {
    if (version.model == nullptr) continue;
    out.append(separator);
    append_string(out, version.version);
    separator = ",";
  }
  out.append("],\"platform\":\"kerf_keras\",\"inputs\":");
  write_tensors(out, model.model().inputs());
  out.append(",\"outputs\":");
  write_tensors(out, model.model().outputs());
  out.push_back('}');
}

void write_model_list(Buffer& out, const serving::Snapshot& models) {
  out.append("{\"models\":[");
  const char* separator = "";
  for (const auto& [name, entry] : models.models()) {
    out.append(separator);
    append_string(out, name);
    separator = ",";
  }
  out.append("]}");
}

}  // namespace kerf::protocol
