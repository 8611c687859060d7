#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace kerf::layers::python {

struct Code;

// A Python object as a file holds it. Immutable; one object may stand in several places.
struct Object {
  enum class Kind : std::uint8_t {
    kNone,
    kEllipsis,
    kBool,
    kInteger,
    kFloat,
    kText,  // str or bytes, which Python 2 does not tell apart
    kTuple,
    kList,
    kSlice,  // start, stop, step
    kCode,
    kOther  // of a type that no expression over tensors needs; `text` says which
  } kind = Kind::kNone;
  std::int64_t integer = 0;  // kBool, kInteger
  double number = 0;         // kFloat
  std::string text;
  std::vector<std::shared_ptr<const Object>> items;
  std::shared_ptr<const Code> code;
};

// The releases of Python whose code objects have a form of their own.
enum class Version : std::uint8_t { k27, k35, k36, k310, k311, k312, k313, k314 };

// A function as Python compiled it. Data only: kerf reads it and never runs it.
struct Code {
  // What the form of the object says of the version: one of these, up to the next in the list.
  // Versions that write one form are told apart by their instructions.
  enum class Form : std::uint8_t { k27, k30, k38, k311 } form = Form::k27;
  std::int32_t arguments = 0;  // those that may be given by position
  std::int32_t keyword_only = 0;
  std::int32_t flags = 0;
  std::string instructions;
  std::vector<std::shared_ptr<const Object>> constants;
  std::vector<std::string> names;      // of globals and attributes
  std::vector<std::string> variables;  // arguments, then other locals, then cells and free ones
  std::size_t locals = 0;              // the variables that are neither cells nor free
  std::vector<std::string> free;       // the last of `variables`: what the closure binds
  std::string name;
  std::string lines;  // which line of the source each instruction is of

  static constexpr std::int32_t kStarArguments = 4;
  static constexpr std::int32_t kStarKeywords = 8;
  static constexpr std::int32_t kGenerators = 0x20 | 0x80 | 0x200;  // and coroutines
};

}  // namespace kerf::layers::python
