#include <utility>

#include "program/program.h"

namespace kerf::program {

Program optimize(Program program, ConstantCache&) { return program; }

}  // namespace kerf::program
