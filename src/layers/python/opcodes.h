#pragma once

#include <string_view>

#include "layers/python/instructions.h"

namespace kerf::layers::python {

// What an opcode is in the versions from `first` to `last`. `cache` is how many words for the
// interpreter's own use follow it. `fixed` is the argument where the opcode alone says it.
struct Opcode {
  Version first;
  Version last;
  std::uint8_t code;
  std::string_view name;
  Instruction::Kind kind = Instruction::Kind::kRefused;
  std::uint32_t fixed = 0;
  std::uint8_t cache = 0;
  bool condition = false;
};

// nullptr for an opcode that the version does not have, or that kerf has no name for.
const Opcode* find_opcode(Version version, unsigned code);

}  // namespace kerf::layers::python
