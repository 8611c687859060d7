#include <utility>

#include "program/passes/passes.h"
#include "program/program.h"

namespace kerf::program {

Program optimize(Program program, ConstantCache& cache) {
  for (const auto& pass :
       {remove_dead_code, sink_transposes, simplify, merge_equal, remove_dead_code, fold_affine,
        fold_padding, remove_dead_code, fuse_epilogues, fuse_chains, remove_dead_code}) {
    pass(program, cache);
  }
  return program;
}

}  // namespace kerf::program
