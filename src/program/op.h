#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kerf/tensor.h"

// The operations of a Program. Each is a struct of attributes; its tensor operands are values of
// the program, in the order its comment gives. Attributes never hold a dimension that is only known
// per request, so that one program serves every batch size and length. Image tensors are
// channels-last. Unless stated otherwise operands are float32.
namespace kerf::program {

// A function of one float, with up to three parameters. Formulas: Keras' activations.
enum class Function : std::uint8_t {
  kIdentity,
  kRelu,  // x <= threshold(c): a * (x - c), else min(x, b); a slope, b maximum, c threshold
  kElu,   // x > 0: x, else a * expm1(x)
  kSelu,
  kCelu,      // max(x, 0) + a * expm1(min(x, 0) / a)
  kGelu,      // exact, by erf
  kGeluTanh,  // the tanh approximation
  kSigmoid,
  kHardSigmoid,  // clip(a * x + b, 0, 1)
  kSilu,
  kHardSilu,  // x * clip(x / 6 + 0.5, 0, 1)
  kTanh,
  kHardTanh,  // clip(x, -1, 1)
  kTanhShrink,
  kSoftplus,
  kSoftsign,
  kSoftShrink,  // threshold a
  kHardShrink,  // threshold a
  kThreshold,   // x > a: x, else b
  kSquareplus,  // (x + sqrt(x * x + a)) / 2
  kSparsePlus,
  kSparseSigmoid,
  kLogSigmoid,
  kMish,
  kExp,
  kLog,
  kSqrt,
  kRsqrt,
  kSquare,
  kAbs,
  kNegative,
  kReciprocal,
  kSign,
  kLog1p,
  kExpm1,
  kSin,
  kCos,
  kTan,
  kArcsin,
  kArccos,
  kArctan,
  kSinh,
  kCosh,
  kArcsinh,
  kArccosh,
  kArctanh,
  kFloor,
  kCeil,
  kRound,  // halves to even
  kTruncate,
  kErf,
  kErfc,
  kErfinv,
  kCbrt,
  kExp2,
  kFloat8,  // the nearest float of 8 bits, 4 of exponent, without infinity (E4M3FN)
};

struct Activation {
  Function function = Function::kIdentity;
  float a = 0;
  float b = 0;
  float c = 0;
  bool identity() const noexcept { return function == Function::kIdentity; }
  friend bool operator==(const Activation&, const Activation&) = default;
};

// What a matrix-like op does to each result before it stores it:
// y = activation((x * W) * scale + bias + residual). The operands bias (per output channel),
// residual (shape of the result) and scale (per output channel, constant; of Linear and Conv only)
// follow the op's own, in this order, where the flags say so. A scale costs next to nothing in a
// run, and no copy of the weights: it is applied with the bias.
struct Epilogue {
  bool bias = false;
  bool residual = false;
  bool scale = false;
  Activation activation;
  friend bool operator==(const Epilogue&, const Epilogue&) = default;
};

enum class Padding : std::uint8_t { kValid, kSame, kCausal, kExplicit };

// How a window moves over 1 to 3 spatial axes.
struct Window {
  std::size_t rank = 2;
  std::array<std::int64_t, 3> size{1, 1, 1};
  std::array<std::int64_t, 3> strides{1, 1, 1};
  std::array<std::int64_t, 3> dilation{1, 1, 1};
  Padding padding = Padding::kValid;
  std::array<std::int64_t, 3> before{};  // kExplicit only: cells of padding on each side
  std::array<std::int64_t, 3> after{};
  friend bool operator==(const Window&, const Window&) = default;
};

// x (..., in), W (in, out) constant -> (..., out).
struct Linear {
  Epilogue epilogue;
  friend bool operator==(const Linear&, const Linear&) = default;
};
// a (..., m, k), b (..., k, n) -> (..., m, n); the leading dimensions broadcast as NumPy's do.
// Flags transpose the last two axes of an operand.
struct MatMul {
  bool transpose_a = false;
  bool transpose_b = false;
  float scale = 1;
  friend bool operator==(const MatMul&, const MatMul&) = default;
};
// x (n, spatial..., in), W (window..., in / groups, out) constant -> (n, spatial'..., out).
struct Conv {
  Window window;
  std::int64_t groups = 1;
  Epilogue epilogue;
  friend bool operator==(const Conv&, const Conv&) = default;
};
// x (n, spatial..., in), W (window..., in, multiplier) constant -> (n, spatial'..., in *
// multiplier).
struct DepthwiseConv {
  Window window;
  Epilogue epilogue;
  friend bool operator==(const DepthwiseConv&, const DepthwiseConv&) = default;
};
// x (n, spatial..., in), W (window..., in, out) constant -> (n, spatial'..., out). Every cell of x
// adds its product with the kernel to the cells of a window that begins at its index times the
// stride. The result is `extent` + (cells - 1) * stride of those sums along each axis, from number
// `crop` on; it is zero where no window lies. The window's padding is not looked at.
struct ConvTranspose {
  Window window;
  std::array<std::int64_t, 3> extent{1, 1, 1};
  std::array<std::int64_t, 3> crop{};
  Epilogue epilogue;
  friend bool operator==(const ConvTranspose&, const ConvTranspose&) = default;
};
// x (n, spatial..., c). Maximum pads with -inf, average divides by the cells inside.
struct Pool {
  enum class Kind : std::uint8_t { kMax, kAverage } kind = Kind::kMax;
  Window window;
  friend bool operator==(const Pool&, const Pool&) = default;
};
// x, axes ascending. kAny and kAll take bool and give bool; the others keep the dtype.
struct Reduce {
  enum class Kind : std::uint8_t {
    kSum,
    kMean,
    kMax,
    kMin,
    kProduct,
    kAny,
    kAll
  } kind = Kind::kSum;
  std::vector<std::int64_t> axes;
  bool keep_dims = false;
  friend bool operator==(const Reduce&, const Reduce&) = default;
};
// x -> f(x), element by element.
struct Unary {
  Activation activation;
  friend bool operator==(const Unary&, const Unary&) = default;
};
// a, b with NumPy broadcasting. Both of one dtype; comparisons and logic give bool.
struct Binary {
  enum class Kind : std::uint8_t {
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kMaximum,
    kMinimum,
    kPower,
    kFloorDivide,
    kModulo,   // has the sign of b
    kArctan2,  // floats only
    kSlope,    // a > 0: a, else a * b; floats only
    kBitAnd,   // integers only, as the four that follow
    kBitOr,
    kBitXor,
    kShiftLeft,
    kShiftRight,
    kEqual,
    kNotEqual,
    kGreater,
    kGreaterEqual,
    kLess,
    kLessEqual,
    kAnd,
    kOr,
  } kind = Kind::kAdd;
  friend bool operator==(const Binary&, const Binary&) = default;
};
// bool -> bool.
struct Not {
  friend bool operator==(const Not&, const Not&) = default;
};
// condition (bool), a, b, broadcast together -> a where the condition holds, else b.
struct Select {
  friend bool operator==(const Select&, const Select&) = default;
};
// x, scale (c), shift (c) -> x * scale + shift along the last axis. How BatchNormalization arrives,
// and what folds into the op before it.
struct Affine {
  friend bool operator==(const Affine&, const Affine&) = default;
};
// x -> step(step(x...)), one pass over the elements of x: what the passes make of runs of Unary,
// Binary and Affine. The operands after x follow in the order of the steps: one for a kBinary step
// (the shape of x, a scalar, or a vector over the last axis), scale and shift (vectors over the
// last axis) for a kAffine step. The result has the shape of x.
struct Chain {
  struct Step {
    enum class Kind : std::uint8_t { kUnary, kBinary, kAffine } kind = Kind::kUnary;
    Activation activation;                     // kUnary
    Binary::Kind binary = Binary::Kind::kAdd;  // kBinary, one that gives a float
    bool swapped = false;                      // kBinary: the operand stands on the left
    friend bool operator==(const Step&, const Step&) = default;
  };
  std::vector<Step> steps;
  friend bool operator==(const Chain&, const Chain&) = default;
};
// x -> softmax along `axis` (logarithm of it if `log`).
struct Softmax {
  std::int64_t axis = -1;
  bool log = false;
  friend bool operator==(const Softmax&, const Softmax&) = default;
};
// x -> max(x - tau, 0) along the last axis, as Keras computes it: z sorted downwards, c its partial
// sums, S the i with z_i - (c_i - 1) / i > 0: tau = (sum over S of c_i - 1) / |S|. (The paper has
// the last c_i of S there instead of their sum.)
struct Sparsemax {
  friend bool operator==(const Sparsemax&, const Sparsemax&) = default;
};
// x[, gamma][, beta] -> (x - mean) * rsqrt(variance + epsilon) * gamma + beta over the last `axes`
// axes; gamma and beta have their shape. Without `center_mean` the mean is not subtracted (the
// variance is still about the mean).
struct LayerNorm {
  std::size_t axes = 1;
  float epsilon = 1e-3F;
  bool gamma = false;
  bool beta = false;
  bool center_mean = true;
  friend bool operator==(const LayerNorm&, const LayerNorm&) = default;
};
// x -> x / max(l2 norm along axis, epsilon).
struct L2Normalize {
  std::int64_t axis = -1;
  float epsilon = 1e-7F;
  friend bool operator==(const L2Normalize&, const L2Normalize&) = default;
};
// ids (any shape; integer or float, truncated), table (rows, width) constant, of any dtype, strings
// too -> ids.shape + (width). An id outside the table is an error of the request (the run reports
// it).
struct Gather {
  friend bool operator==(const Gather&, const Gather&) = default;
};
// y's axis i is x's axis permutation[i].
struct Transpose {
  std::vector<std::int64_t> permutation;
  friend bool operator==(const Transpose&, const Transpose&) = default;
};
// Row-major reinterpretation. An entry >= 0 is that dimension; copy(i) copies dimension i of the
// input, like(i) that of a second operand, of which nothing else is looked at; at most one kInfer
// takes what remains.
struct Reshape {
  static constexpr std::int64_t kInfer = -1;
  static constexpr std::int64_t copy(std::size_t axis) {
    return -2 - static_cast<std::int64_t>(axis);
  }
  static constexpr std::int64_t like(std::size_t axis) { return copy(Shape::kMaxRank + axis); }
  // The axis that an entry copies, of the input or of the second operand; nothing for others.
  static constexpr std::optional<std::size_t> copied(std::int64_t dim) {
    if (dim > copy(0) || dim <= like(0)) return std::nullopt;
    return static_cast<std::size_t>(copy(0) - dim);
  }
  static constexpr std::optional<std::size_t> lent(std::int64_t dim) {
    if (dim > like(0)) return std::nullopt;
    return static_cast<std::size_t>(like(0) - dim);
  }
  std::vector<std::int64_t> dims;
  friend bool operator==(const Reshape&, const Reshape&) = default;
};
// Two or more tensors of one dtype.
struct Concat {
  std::int64_t axis = -1;
  friend bool operator==(const Concat&, const Concat&) = default;
};
// x[..., begin:end:step, ...] on one axis, as NumPy does it: negative counts from the end, what
// lies outside is cut off, and an absent bound is where the axis starts or ends. step is not 0.
struct Slice {
  std::int64_t axis = 0;
  std::optional<std::int64_t> begin;
  std::optional<std::int64_t> end;
  std::int64_t step = 1;
  friend bool operator==(const Slice&, const Slice&) = default;
};
// Per axis: cells put before and after, of `value`.
struct Pad {
  std::vector<std::int64_t> before;
  std::vector<std::int64_t> after;
  float value = 0;
  friend bool operator==(const Pad&, const Pad&) = default;
};
// x repeated `times` as a whole along `axis`.
struct Tile {
  std::int64_t axis = 0;
  std::int64_t times = 1;
  friend bool operator==(const Tile&, const Tile&) = default;
};
// x with m instead of n elements along `axis`: m is `size`, or n * factor where that is 0. Keras'
// image resizing, upsampling and adaptive pooling, one axis at a time.
// kNearest takes element floor((i + 0.5) * n / m), of any dtype. The filters from kLinear (of
// radius 1, 2, 3, 5) weigh the elements j by their distance from (i + 0.5) * n / m - 0.5, and the
// weights by their sum; `antialias` stretches them by n / m where that is above 1. kMean and kMax
// are over the elements from floor(i * n / m) to before ceil((i + 1) * n / m).
struct Resample {
  enum class Kind : std::uint8_t {
    kNearest,
    kLinear,
    kCubic,  // Keys', a = -0.5
    kLanczos3,
    kLanczos5,
    kMean,
    kMax
  } kind = Kind::kNearest;
  std::int64_t axis = 0;
  std::int64_t size = 0;
  std::int64_t factor = 1;
  bool antialias = false;
  friend bool operator==(const Resample&, const Resample&) = default;
};
// x -> the place along `axis` (int32) of the first element that no other exceeds (kMax) or
// undercuts (kMin), a NaN before all; the axis is dropped.
struct ArgReduce {
  enum class Kind : std::uint8_t { kMax, kMin } kind = Kind::kMax;
  std::int64_t axis = -1;
  friend bool operator==(const ArgReduce&, const ArgReduce&) = default;
};
// x -> the places (int32) of its elements along the last axis in ascending order, or descending;
// equal ones keep theirs. A NaN is larger than every number.
struct ArgSort {
  bool descending = false;
  friend bool operator==(const ArgSort&, const ArgSort&) = default;
};
// x (..., n), ids (..., m) of int32 or int64 -> (..., m): x[..., ids]. Negative ids count from the
// end; one outside of x is an error of the request.
struct TakeAlong {
  friend bool operator==(const TakeAlong&, const TakeAlong&) = default;
};
// x -> the sums or products of all elements up to each along `axis`.
struct Cumulate {
  enum class Kind : std::uint8_t { kSum, kProduct } kind = Kind::kSum;
  std::int64_t axis = -1;
  friend bool operator==(const Cumulate&, const Cumulate&) = default;
};
struct Cast {
  DType to = DType::kFloat32;
  friend bool operator==(const Cast&, const Cast&) = default;
};

// Gated recurrent layers over x (n, t, in). Operands: x, kernel (in, g*u), recurrent (u, g*u),
// [bias], [mask (n, t) bool], [initial h (n, u)[, initial c (n, u)]]. Results: y, h, c (LSTM only),
// where y is (n, t, u) if `sequences` else (n, u). Keras' semantics (gate order i f c o / z r h;
// masked steps repeat the state, and emit the previous output or zero).
struct Recurrent {
  enum class Cell : std::uint8_t { kSimple, kLstm, kGru, kGruResetAfter } cell = Cell::kLstm;
  Activation activation;            // tanh
  Activation recurrent_activation;  // sigmoid
  bool sequences = false;
  bool backwards = false;  // from the last step to the first; y stays in that order
  bool zero_output_for_mask = false;
  bool bias = false;
  bool mask = false;
  bool initial_state = false;
  friend bool operator==(const Recurrent&, const Recurrent&) = default;
};

// A convolutional LSTM. Operands: x (n, t, spatial..., 4 * f), the gates i f c o as far as the
// input makes them, bias included; kernel (window..., f, 4 * f) constant; [mask (n, t) bool];
// [initial h, c (n, spatial..., f)]. Results: y, h, c, where y is (n, t, spatial..., f) if
// `sequences`, else as h. The state is convolved with stride 1 and padding "same"; the rest is as
// in Recurrent.
struct ConvLstm {
  Activation activation;            // tanh
  Activation recurrent_activation;  // sigmoid
  bool sequences = false;
  bool backwards = false;
  bool zero_output_for_mask = false;
  bool mask = false;
  bool initial_state = false;
  friend bool operator==(const ConvLstm&, const ConvLstm&) = default;
};

// Attention. Operands: q (n, tq, heads * d), k (n, tk, key_heads * d), v (n, tk, key_heads * e);
// [mask bool (n, heads, tq, tk), each of them or 1]. Results: y (n, tq, heads * e); the shares
// (n, heads, tq, tk) if `weights`. For each head, softmax(scale * q k^T) v over the keys that a
// query may look at; query head h reads key head h * key_heads / heads.
struct Attention {
  std::int64_t heads = 1;
  std::int64_t key_heads = 1;
  float scale = 1;
  bool causal = false;      // query i may look at keys up to i
  std::int64_t window = 0;  // and at those less than this many steps away; 0: at all
  bool mask = false;
  bool weights = false;
  // A query that may look at nothing has shares of zero, not equal ones of all keys.
  bool blind_is_zero = false;
  friend bool operator==(const Attention&, const Attention&) = default;
};

// keys (strings or int64), table constant (of LookupTable::pack) -> the keys' values, int64. A key
// that is not there gives `first` + a hash of it below `buckets`: of an integer, `modulo` of them
// (never negative), or else as of its decimal digits. Without buckets it is an error of the
// request.
struct Lookup {
  std::int64_t first = 0;
  std::int64_t buckets = 1;
  bool modulo = true;
  friend bool operator==(const Lookup&, const Lookup&) = default;
};
// x (strings, or int64 as its decimal digits) -> a hash of each below `buckets`, int64: FarmHash's
// fingerprint, or SipHash under a key.
struct Hash {
  std::int64_t buckets = 1;
  std::optional<std::array<std::uint64_t, 2>> key;
  friend bool operator==(const Hash&, const Hash&) = default;
};
// Two or more tensors of one shape (strings or int64) -> one hash below `buckets` of the elements
// at each place, int64, as tf.sparse.cross_hashed makes it.
struct CrossHash {
  std::int64_t buckets = 1;
  friend bool operator==(const CrossHash&, const CrossHash&) = default;
};
// How a text becomes tokens: the letters A to Z become small, ASCII punctuation is dropped, what is
// left is split at ASCII white space, or into Unicode characters, or not at all, and the pieces are
// joined by a space to n-grams of the given widths, those of the first width before those of the
// next. Without widths the pieces are the tokens.
struct Tokens {
  enum class Split : std::uint8_t { kNone, kWhitespace, kCharacters };
  static constexpr std::int64_t kMostWidth = 32;
  bool lower = false;
  bool strip = false;
  Split split = Split::kNone;
  std::vector<std::int64_t> widths;  // 1 to kMostWidth
  friend bool operator==(const Tokens&, const Tokens&) = default;
};
// texts (n) strings, table constant (of LookupTable::pack) -> the values of their first `length`
// tokens, zeros behind, int64 (n, length). A token that is not in the table gives `unknown`.
struct TokenIds {
  Tokens tokens;
  std::int64_t unknown = 1;
  std::int64_t length = 1;
  friend bool operator==(const TokenIds&, const TokenIds&) = default;
};
// texts (n) strings, table constant -> how often each value from 0 to before `depth` is one of a
// text's tokens, float32 (n, depth).
struct TokenCounts {
  Tokens tokens;
  std::int64_t unknown = 0;
  std::int64_t depth = 1;
  friend bool operator==(const TokenCounts&, const TokenCounts&) = default;
};

using Op = std::variant<Linear, MatMul, Conv, DepthwiseConv, ConvTranspose, Pool, Reduce, Unary,
                        Binary, Not, Select, Affine, Chain, Softmax, Sparsemax, LayerNorm,
                        L2Normalize, Gather, Transpose, Reshape, Concat, Slice, Pad, Tile, Resample,
                        Cast, Recurrent, ConvLstm, Attention, ArgReduce, Cumulate, ArgSort,
                        TakeAlong, Lookup, Hash, CrossHash, TokenIds, TokenCounts>;

// "Linear", "Conv", ...
std::string_view op_name(const Op& op) noexcept;
// The name with the attributes that matter and what is fused into it, for people: "Conv 3x3/2 same
// +bias +relu", "Reduce mean over 1,2".
std::string describe(const Op& op);
// "relu", "relu(max 6)", "hard_sigmoid(0.2, 0.5)".
std::string describe(const Activation& activation);

// No dimension is larger, so that a product of two and a sum of many cannot overflow.
inline constexpr std::int64_t kMaxDimension = std::int64_t{1} << 31;

struct ValueType {
  DType dtype = DType::kFloat32;
  Shape shape;
  friend bool operator==(const ValueType&, const ValueType&) = default;
};

// Types of the op's results for operands of these types, which may have unknown dimensions.
// Throws Error(kInvalidArgument) where they do not fit in number, dtype or shape, saying how, and
// where a dimension would exceed kMaxDimension.
std::vector<ValueType> infer(const Op& op, const std::vector<ValueType>& operands);

// Floating-point operations, two per multiply-add of products, convolutions and recurrences, one
// per element and pass otherwise; unknown dimensions count as 1.
double flops(const Op& op, const std::vector<ValueType>& operands,
             const std::vector<ValueType>& results);

// Operands of a chain that belong to one step.
inline std::size_t operand_count(const Chain::Step& step) noexcept {
  return step.kind == Chain::Step::Kind::kUnary    ? 0
         : step.kind == Chain::Step::Kind::kBinary ? 1
                                                   : 2;
}

inline std::size_t operand_count(const Reshape& op) noexcept {
  for (const std::int64_t dim : op.dims) {
    if (Reshape::lent(dim)) return 2;
  }
  return 1;
}

// The geometry of a window on one axis of `size` cells.
struct WindowAxis {
  std::int64_t output = 0;
  std::int64_t before = 0;  // cells of padding
};
WindowAxis window_axis(const Window& window, std::size_t axis, std::int64_t size);

// The elements that a slice takes of an axis of `size`: `count` of them from `begin` on.
struct SliceAxis {
  std::int64_t begin = 0;
  std::int64_t count = 0;
};
SliceAxis slice_axis(const Slice& op, std::int64_t size);

}  // namespace kerf::program
