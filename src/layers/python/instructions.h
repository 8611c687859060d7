#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "layers/python/object.h"

namespace kerf::layers::python {

// One instruction of Python's stack machine, in one form for all versions. What is on the stack is
// counted from the top.
struct Instruction {
  enum class Kind : std::uint8_t {
    kNothing,
    kPop,
    kSwap,          // the top and element `argument`, counted from 1
    kCopy,          // element `argument`
    kRotate,        // the top below `argument` - 1 others
    kPushNull,      // a mark beside a function, to be dropped by the call
    kConstant,      // constants[argument]
    kSmallInteger,  // `argument`
    kVariable,      // variables[argument]
    kTwoVariables,  // of numbers in the upper and lower half of a byte
    kStoreVariable,
    kStoreTwo,
    kStoreThenLoad,
    kGlobal,     // names[argument]
    kAttribute,  // of the top
    kMethod,     // likewise, with a mark beside it
    kNegative,
    kPositive,
    kNot,
    kInvert,
    kBinary,   // `argument` is the operator's first character, doubled ones as kPower...
    kCompare,  // `argument` is a Comparison
    kSubscript,
    kSubscriptSlice,  // x[a:b]
    kOldSlice,        // of Python 2: bit 0 for a start, bit 1 for an end
    kTuple,
    kList,
    kMap,
    kMapOfKeys,  // the keys stand in a tuple on top
    kSlice,      // of `argument` parts
    kExtend,     // the list below by the top
    kToTuple,
    kUnpack,     // into `argument`
    kCall,       // `argument` arguments, a function and a mark in either order
    kCallPlain,  // likewise, without a mark
    kCallPairs,  // low byte: by position; next: pairs of a name and a value
    kCallNamed,  // like kCall, with the names of the last arguments in a tuple on top
    kCallPlainNamed,
    kKeywords,     // constants[argument] names the last arguments of the next kCall
    kImport,       // names[argument]; the level and a list are on top
    kImportFrom,   // names[argument] of the top, which stays
    kJump,         // to instruction `target`
    kJumpIf,       // if the top, which is dropped, is `condition`
    kJumpIfOrPop,  // if the top is `condition`; else it is dropped
    kJumpIfNone,   // if whether the top, which is dropped, is None is `condition`
    kReturn,
    kReturnConstant,
    kRefused  // what no expression over tensors needs
  } kind = Kind::kNothing;
  std::uint32_t argument = 0;
  bool condition = false;
  std::size_t target = 0;
  std::string_view name;  // Python's: "BINARY_ADD"
};

enum class BinaryOperator : std::uint8_t {
  kAdd,
  kAnd,
  kFloorDivide,
  kLeftShift,
  kMatrixMultiply,
  kMultiply,
  kRemainder,
  kOr,
  kPower,
  kRightShift,
  kSubtract,
  kDivide,
  kXor,
  kOldDivide  // of Python 2: of integers without a remainder
};

enum class Comparison : std::uint8_t {
  kLess,
  kLessEqual,
  kEqual,
  kNotEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
  kIs,
  kIsNot
};

// The instructions of a code object. Its version is that whose instructions they can be; versions
// that differ in nothing that stands there are one. Throws Error(kInvalidFile) if they are of none.
std::vector<Instruction> decode(const Code& code);

}  // namespace kerf::layers::python
