#include "protocol/message_json.h"

#include <google/protobuf/descriptor.h>

#include <map>
#include <string>

#include "protocol/json_text.h"

namespace kerf::protocol {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

class Writer {
 public:
  Writer(Buffer& out, JsonStyle style) : out_(out), style_(style) {}

  // NOLINTNEXTLINE(misc-no-recursion): as deep as the messages are declared
  void write(const Message& message) {
    const Reflection& reflection = *message.GetReflection();
    const auto* descriptor = message.GetDescriptor();
    out_.push_back('{');
    const char* separator = "";
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor& field = *descriptor->field(i);
      if (is_left_out(message, reflection, field)) continue;
      out_.append(separator);
      separator = ",";
      append_string(out_, field.name());
      out_.push_back(':');
      if (field.is_map()) {
        write_map(message, reflection, field);
      } else if (field.is_repeated()) {
        write_list(message, reflection, field);
      } else {
        write_value(message, reflection, field, -1);
      }
    }
    out_.push_back('}');
  }

 private:
  bool is_left_out(const Message& message, const Reflection& reflection,
                   const FieldDescriptor& field) const {
    if (field.is_map()) return reflection.FieldSize(message, &field) == 0;
    if (field.is_repeated()) return false;
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING && !field.has_presence()) {
      return style_ == JsonStyle::kTriton && reflection.GetString(message, &field).empty();
    }
    return field.has_presence() && !reflection.HasField(message, &field);
  }

  // NOLINTNEXTLINE(misc-no-recursion)
  void write_list(const Message& message, const Reflection& reflection,
                  const FieldDescriptor& field) {
    out_.push_back('[');
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      if (i != 0) out_.push_back(',');
      write_value(message, reflection, field, i);
    }
    out_.push_back(']');
  }

  // Sorted by key: maps have no order of their own.
  // NOLINTNEXTLINE(misc-no-recursion)
  void write_map(const Message& message, const Reflection& reflection,
                 const FieldDescriptor& field) {
    std::map<std::string, const Message*> entries;
    const FieldDescriptor& key = *field.message_type()->map_key();
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
      entries.emplace(entry.GetReflection()->GetString(entry, &key), &entry);
    }
    out_.push_back('{');
    const char* separator = "";
    for (const auto& [name, entry] : entries) {
      out_.append(separator);
      separator = ",";
      append_string(out_, name);
      out_.push_back(':');
      write_value(*entry, *entry->GetReflection(), *field.message_type()->map_value(), -1);
    }
    out_.push_back('}');
  }

  template <typename T>
  void write_wide(T value) {
    const bool quoted = style_ == JsonStyle::kTensorflow;
    if (quoted) out_.push_back('"');
    append_integer(out_, value);
    if (quoted) out_.push_back('"');
  }

  // Element `index` of a list, or with -1 the value of a field.
  // NOLINTNEXTLINE(misc-no-recursion)
  void write_value(const Message& m, const Reflection& r, const FieldDescriptor& field, int index) {
    const bool one = index < 0;
    const FieldDescriptor* f = &field;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return append_integer(
            out_, std::int64_t{one ? r.GetInt32(m, f) : r.GetRepeatedInt32(m, f, index)});
      case FieldDescriptor::CPPTYPE_UINT32:
        return append_integer(
            out_, std::uint64_t{one ? r.GetUInt32(m, f) : r.GetRepeatedUInt32(m, f, index)});
      case FieldDescriptor::CPPTYPE_INT64:
        return write_wide(std::int64_t{one ? r.GetInt64(m, f) : r.GetRepeatedInt64(m, f, index)});
      case FieldDescriptor::CPPTYPE_UINT64:
        return write_wide(
            std::uint64_t{one ? r.GetUInt64(m, f) : r.GetRepeatedUInt64(m, f, index)});
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return append_float(out_, one ? r.GetDouble(m, f) : r.GetRepeatedDouble(m, f, index));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return append_float(out_, one ? r.GetFloat(m, f) : r.GetRepeatedFloat(m, f, index));
      case FieldDescriptor::CPPTYPE_BOOL:
        return out_.append((one ? r.GetBool(m, f) : r.GetRepeatedBool(m, f, index)) ? "true"
                                                                                    : "false");
      case FieldDescriptor::CPPTYPE_ENUM:
        return append_string(out_,
                             (one ? r.GetEnum(m, f) : r.GetRepeatedEnum(m, f, index))->name());
      case FieldDescriptor::CPPTYPE_STRING:
        return append_string(out_, one ? r.GetString(m, f) : r.GetRepeatedString(m, f, index));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return write(one ? r.GetMessage(m, f) : r.GetRepeatedMessage(m, f, index));
    }
  }

  Buffer& out_;
  JsonStyle style_;
};

}  // namespace

void append_message(Buffer& out, const Message& message, JsonStyle style) {
  Writer(out, style).write(message);
}

}  // namespace kerf::protocol
