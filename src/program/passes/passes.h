#pragma once

#include "program/program.h"

// The passes over a program, in files of their own and run by optimize() in the order of its list.
// Each leaves a program that computes the same fetches from the same feeds, in the same order; a
// value that is fetched is never fused away. Tensors they compute come from the model's cache, so
// that all cuts of a model share them. One thread per program; any number of programs at once.
namespace kerf::program {

// Drops instructions whose results nothing reads, and values that nothing names; renumbers.
void remove_dead_code(Program& program, ConstantCache& cache);

// Moves transpositions towards the results, past operations that do not care about the order of
// axes, so that those of neighbouring layers meet and cancel.
void sink_transposes(Program& program, ConstantCache& cache);

// Drops what changes nothing (identity functions, casts to the same type, reshapes to the same
// shape, x + 0, x * 1, ...) and makes one reshape of two.
void simplify(Program& program, ConstantCache& cache);

// Keeps one of equal instructions and one of equal small constants.
void merge_equal(Program& program, ConstantCache& cache);

// Folds multiplications and additions of constants (how BatchNormalization and Rescaling arrive)
// into the weights of the product or convolution before or after them, and into each other.
void fold_affine(Program& program, ConstantCache& cache);

// Turns explicit padding with zeros into padding of the window that reads it.
void fold_padding(Program& program, ConstantCache& cache);

// Moves the addition of a tensor and an element-wise function into the product or convolution
// whose result they take.
void fuse_epilogues(Program& program, ConstantCache& cache);

// Makes one Chain of runs of element-wise operations.
void fuse_chains(Program& program, ConstantCache& cache);

}  // namespace kerf::program
