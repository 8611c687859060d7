#include "layers/python/instructions.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <utility>

#include "kerf/error.h"
#include "layers/python/opcodes.h"

namespace kerf::layers::python {
namespace {

using Kind = Instruction::Kind;
using Form = Code::Form;
using B = BinaryOperator;
using V = Version;

[[noreturn]] void damaged(std::string_view what) {
  throw Error(ErrorCode::kInvalidFile, fmt::format("the Python code is damaged: {}", what));
}

constexpr std::uint32_t number(BinaryOperator op) { return static_cast<std::uint32_t>(op); }

// Where an instruction stands, and what it is told.
struct Raw {
  unsigned code = 0;
  std::uint32_t argument = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
};

constexpr std::uint32_t kMostArgument = 1U << 24;

// Up to 3.5: one byte, or three with an argument.
std::vector<Raw> of_bytes(std::string_view bytes, unsigned extended) {
  std::vector<Raw> raw;
  std::uint32_t high = 0;
  for (std::size_t i = 0; i < bytes.size();) {
    Raw next{.code = static_cast<unsigned char>(bytes[i]), .begin = i};
    constexpr unsigned kHaveArgument = 90;
    i += 1;
    // Behind a 47 that was a 92 stands an argument, too.
    if (next.code >= kHaveArgument || next.code == 47) {
      if (bytes.size() - i < 2) damaged("an instruction is cut off");
      next.argument = high | static_cast<unsigned char>(bytes[i]) |
                      static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i + 1])) << 8;
      i += 2;
    }
    high = 0;
    next.end = i;
    if (next.code == extended) {
      if (next.argument > kMostArgument >> 16) damaged("an argument is too large");
      high = next.argument << 16;
      next.code = 9;  // nothing
    }
    raw.push_back(next);
  }
  return raw;
}

// From 3.6 on: words of an opcode and an argument.
std::vector<Raw> of_words(std::string_view bytes, unsigned extended, unsigned nothing) {
  if (bytes.size() % 2 != 0) damaged("an instruction is cut off");
  std::vector<Raw> raw;
  std::uint32_t high = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    Raw next{.code = static_cast<unsigned char>(bytes[i]), .begin = i, .end = i + 2};
    next.argument = high | static_cast<unsigned char>(bytes[i + 1]);
    high = 0;
    if (next.code == extended) {
      if (next.argument > kMostArgument >> 8) damaged("an argument is too large");
      high = next.argument << 8;
      next.code = nothing;
    }
    raw.push_back(next);
  }
  return raw;
}

std::vector<Raw> raw_of(const Code& code, Version version) {
  if (version == V::k27) return of_bytes(code.instructions, 145);
  if (version == V::k35) return of_bytes(code.instructions, 144);
  if (version == V::k314) return of_words(code.instructions, 69, 27);
  if (version == V::k313) return of_words(code.instructions, 71, 30);
  return of_words(code.instructions, 144, 9);
}

constexpr auto kOperators = std::to_array<BinaryOperator>(
    {B::kAdd, B::kAnd, B::kFloorDivide, B::kLeftShift, B::kMatrixMultiply, B::kMultiply,
     B::kRemainder, B::kOr, B::kPower, B::kRightShift, B::kSubtract, B::kDivide, B::kXor});

// The argument of `raw` as kerf's form of the instruction has it.
void set_argument(Instruction& instruction, const Opcode& opcode, const Raw& raw, Version version,
                  const Code& code) {
  std::uint32_t& argument = instruction.argument;
  argument = raw.argument;
  if (opcode.fixed != 0 || opcode.kind == Kind::kOldSlice) argument = opcode.fixed;
  if (opcode.kind == Kind::kBinary) {
    if (opcode.name != "BINARY_OP") {
      argument = opcode.fixed;
    } else if (raw.argument < 2 * kOperators.size()) {
      argument = number(kOperators[raw.argument % kOperators.size()]);  // += is computed as +
    } else if (raw.argument == 2 * kOperators.size() && version >= V::k314) {
      instruction.kind = Kind::kSubscript;
    } else {
      damaged("it has an operator that Python has not");
    }
  }
  if (opcode.kind == Kind::kCompare) {
    const std::uint32_t inverted = raw.argument & 1U;
    if (opcode.name == "IS_OP") {
      argument = static_cast<std::uint32_t>(Comparison::kIs) + inverted;
    } else if (opcode.name == "CONTAINS_OP") {
      argument = static_cast<std::uint32_t>(Comparison::kIn) + inverted;
    } else if (version == V::k312) {
      argument = raw.argument >> 4;
    } else if (version >= V::k313) {
      argument = raw.argument >> 5;
    }
    if (argument > static_cast<std::uint32_t>(Comparison::kIsNot)) damaged("a comparison is none");
  }
  if (opcode.name == "CALL_INTRINSIC_1") {
    constexpr std::uint32_t kUnaryPositive = 5;
    constexpr std::uint32_t kListToTuple = 6;
    if (raw.argument == kUnaryPositive) instruction.kind = Kind::kPositive;
    if (raw.argument == kListToTuple) instruction.kind = Kind::kToTuple;
  }
  // The number of a cell or free variable, counted behind the locals.
  if (opcode.name == "LOAD_DEREF" && version <= V::k310) {
    argument += static_cast<std::uint32_t>(code.locals);
  }
  // The lowest bit asks for a mark, for the call that follows.
  if (opcode.name == "LOAD_GLOBAL" && version >= V::k311) {
    instruction.condition = (raw.argument & 1U) != 0;
    argument = raw.argument >> 1;
  }
  if (opcode.name == "LOAD_ATTR" && version >= V::k312) {
    if ((raw.argument & 1U) != 0) instruction.kind = Kind::kMethod;
    argument = raw.argument >> 1;
  }
}

// The byte a jump leads to.
std::size_t target_of(const Opcode& opcode, const Raw& raw, std::size_t behind, Version version) {
  if (version >= V::k311) return behind + std::size_t{2} * raw.argument;
  const std::size_t unit = version == V::k310 ? 2 : 1;
  const bool relative = opcode.name == "JUMP_FORWARD";
  return (relative ? raw.end : 0) + unit * raw.argument;
}

bool jumps(Kind kind) {
  return kind == Kind::kJump || kind == Kind::kJumpIf || kind == Kind::kJumpIfOrPop ||
         kind == Kind::kJumpIfNone;
}

// From 3.11 on, every function begins with RESUME 0, behind what prepares its variables.
void require_resume(const std::vector<Raw>& raw, Version version) {
  for (const Raw& next : raw) {
    const Opcode* opcode = find_opcode(version, next.code);
    if (opcode == nullptr) break;
    if (opcode->name == "RESUME" && next.argument == 0) return;
    if (opcode->name != "COPY_FREE_VARS" && opcode->name != "MAKE_CELL") break;
  }
  damaged("it does not begin as a function does");
}

// `strict`: an opcode that kerf has no name for is none of this version.
std::vector<Instruction> decode_as(const Code& code, Version version, bool strict) {
  std::vector<Instruction> instructions;
  std::vector<std::size_t> places(code.instructions.size() + 1, ~std::size_t{0});
  std::vector<std::pair<std::size_t, std::size_t>> open;  // jumps, and the bytes they lead to
  const std::vector<Raw> raw = raw_of(code, version);
  if (version >= V::k311) require_resume(raw, version);
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const Raw& own = raw[i];
    const Opcode* opcode = find_opcode(version, own.code);
    Instruction instruction;
    places[own.begin] = instructions.size();
    if (opcode == nullptr) {
      // It may be anything, but not a cache.
      if (strict || (version >= V::k311 && own.code == 0)) damaged("an opcode is none");
      instruction.kind = Kind::kRefused;
      instruction.argument = own.code;
      instructions.push_back(instruction);
      continue;
    }
    instruction.kind = opcode->kind;
    instruction.name = opcode->name;
    instruction.condition = opcode->condition;
    set_argument(instruction, *opcode, own, version, code);
    std::size_t behind = own.end;
    for (unsigned n = 0; n < opcode->cache; ++n) {
      if (i + 1 >= raw.size() || raw[i + 1].code != 0) damaged("a cache is missing");
      behind = raw[++i].end;
    }
    if (jumps(opcode->kind)) {
      open.emplace_back(instructions.size(), target_of(*opcode, own, behind, version));
    }
    instructions.push_back(instruction);
  }
  for (const auto& [jump, byte] : open) {
    if (byte >= places.size() || places[byte] == ~std::size_t{0}) damaged("a jump leads nowhere");
    instructions[jump].target = places[byte];
  }
  if (instructions.empty() || (instructions.back().kind != Kind::kReturn &&
                               instructions.back().kind != Kind::kReturnConstant &&
                               instructions.back().kind != Kind::kRefused)) {
    damaged("it does not end");
  }
  return instructions;
}

// In 3.10 the table of lines speaks of every byte, before only of where a line ends.
bool lines_cover(const Code& code) {
  std::size_t covered = 0;
  for (std::size_t i = 0; i < code.lines.size(); i += 2) {
    covered += static_cast<unsigned char>(code.lines[i]);
  }
  return covered == code.instructions.size();
}

std::vector<Version> versions_of(const Code& code) {
  switch (code.form) {
    case Form::k27:
      return {V::k27};
    case Form::k30: {
      // RETURN_VALUE is a byte up to 3.5, then a word.
      const bool bytes = !code.instructions.empty() && code.instructions.back() == 83;
      return {bytes ? V::k35 : V::k36};
    }
    case Form::k38:
      return {lines_cover(code) ? V::k310 : V::k36};
    case Form::k311:
      return {V::k314, V::k313, V::k312, V::k311};
  }
  return {};
}

}  // namespace

std::vector<Instruction> decode(const Code& code) {
  const std::vector<Version> versions = versions_of(code);
  for (const bool strict : {true, false}) {
    for (const Version version : versions) {
      try {
        return decode_as(code, version, strict);
      } catch (const Error&) {  // then it is of another
      }
    }
  }
  return decode_as(code, versions.back(), false);
}

}  // namespace kerf::layers::python
