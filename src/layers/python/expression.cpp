#include "layers/python/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>

#include "kerf/error.h"
#include "layers/python/functions.h"

namespace kerf::layers::python {

struct ExpressionNode {
  enum class Kind : std::uint8_t {
    kValue,
    kName,
    kAttribute,  // operands[0] . text
    kCall,       // operands[0], by position; then by keyword
    kSubscript,
    kSlice,
    kTuple,
    kList,
    kUnary,
    kBinary,
    kCompare,
    kAnd,
    kOr,
    kCondition  // operands[0] if operands[1] else operands[2]
  } kind = Kind::kValue;
  using Pointer = std::shared_ptr<const ExpressionNode>;
  Value value = {};
  std::string text = {};
  BinaryOperator binary = BinaryOperator::kAdd;
  Comparison comparison = Comparison::kEqual;
  std::vector<Pointer> operands = {};
  std::vector<std::pair<std::string, Pointer>> keywords = {};
};

namespace {

using Node = ExpressionNode;
using Kind = Node::Kind;
using Pointer = Node::Pointer;

Pointer make(Node node) { return std::make_shared<const Node>(std::move(node)); }

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Pointer parse_all() {
    Pointer root = tuple();
    skip();
    if (at_ < text_.size()) fail(fmt::format("'{}' is not expected here", text_.substr(at_, 10)));
    return root;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("the expression \"{}\" is wrong at character {}: {}", text_, at_ + 1, what));
  }

  // Counts how deeply brackets and operators are nested.
  class Depth {
   public:
    explicit Depth(Parser& parser) : parser_(parser) {
      constexpr int kDeepest = 100;
      if (++parser_.depth_ > kDeepest) parser_.fail("it is nested too deeply");
    }
    ~Depth() { --parser_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    Parser& parser_;
  };

  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }
  bool take(std::string_view token) {
    skip();
    if (!text_.substr(at_).starts_with(token)) return false;
    // A word ends where no letter follows.
    const std::size_t end = at_ + token.size();
    if (is_letter(token.front()) && end < text_.size() && is_word(text_[end])) return false;
    at_ = end;
    return true;
  }
  bool next_is(std::string_view token) {
    const std::size_t before = at_;
    const bool there = take(token);
    at_ = before;
    return there;
  }
  void expect(std::string_view token) {
    if (!take(token)) fail(fmt::format("'{}' is missing", token));
  }
  static bool is_letter(char c) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_';
  }
  static bool is_word(char c) { return is_letter(c) || (c >= '0' && c <= '9'); }

  static Pointer binary(BinaryOperator op, Pointer a, Pointer b) {
    return make({.kind = Kind::kBinary, .binary = op, .operands = {std::move(a), std::move(b)}});
  }

  // a, b, ... without brackets, as in x[1, 2].
  Pointer tuple() {
    Pointer first = condition();
    if (!next_is(",")) return first;
    Node node{.kind = Kind::kTuple, .operands = {std::move(first)}};
    while (take(",")) {
      if (next_is(")") || next_is("]")) break;
      node.operands.push_back(condition());
    }
    return make(std::move(node));
  }

  Pointer condition() {
    const Depth depth(*this);
    Pointer value = disjunction();
    if (!take("if")) return value;
    Pointer test = disjunction();
    expect("else");
    return make(
        {.kind = Kind::kCondition, .operands = {std::move(value), std::move(test), condition()}});
  }

  Pointer disjunction() {
    Pointer value = conjunction();
    while (take("or")) {
      value = make({.kind = Kind::kOr, .operands = {std::move(value), conjunction()}});
    }
    return value;
  }

  Pointer conjunction() {
    Pointer value = inversion();
    while (take("and")) {
      value = make({.kind = Kind::kAnd, .operands = {std::move(value), inversion()}});
    }
    return value;
  }

  Pointer inversion() {
    const Depth depth(*this);
    if (take("not")) return make({.kind = Kind::kUnary, .text = "not", .operands = {inversion()}});
    return comparison();
  }

  Pointer comparison() {
    Pointer value = sum();
    static const std::pair<std::string_view, Comparison> kComparisons[] = {
        {"<=", Comparison::kLessEqual}, {">=", Comparison::kGreaterEqual},
        {"==", Comparison::kEqual},     {"!=", Comparison::kNotEqual},
        {"<", Comparison::kLess},       {">", Comparison::kGreater},
        {"in", Comparison::kIn}};
    for (const auto& [token, kind] : kComparisons) {
      if (!take(token)) continue;
      return make(
          {.kind = Kind::kCompare, .comparison = kind, .operands = {std::move(value), sum()}});
    }
    if (take("not")) {
      expect("in");
      return make({.kind = Kind::kCompare,
                   .comparison = Comparison::kNotIn,
                   .operands = {std::move(value), sum()}});
    }
    if (take("is")) {
      const auto kind = take("not") ? Comparison::kIsNot : Comparison::kIs;
      return make(
          {.kind = Kind::kCompare, .comparison = kind, .operands = {std::move(value), sum()}});
    }
    return value;
  }

  Pointer sum() {
    Pointer value = product();
    for (;;) {
      if (take("+")) {
        value = binary(BinaryOperator::kAdd, std::move(value), product());
      } else if (take("-")) {
        value = binary(BinaryOperator::kSubtract, std::move(value), product());
      } else {
        return value;
      }
    }
  }

  Pointer product() {
    Pointer value = signed_value();
    for (;;) {
      if (take("//")) {
        value = binary(BinaryOperator::kFloorDivide, std::move(value), signed_value());
      } else if (!next_is("**") && take("*")) {
        value = binary(BinaryOperator::kMultiply, std::move(value), signed_value());
      } else if (take("/")) {
        value = binary(BinaryOperator::kDivide, std::move(value), signed_value());
      } else if (take("%")) {
        value = binary(BinaryOperator::kRemainder, std::move(value), signed_value());
      } else if (take("@")) {
        value = binary(BinaryOperator::kMatrixMultiply, std::move(value), signed_value());
      } else {
        return value;
      }
    }
  }

  Pointer signed_value() {
    const Depth depth(*this);
    for (const char* sign : {"-", "+", "~"}) {
      if (take(sign)) {
        return make({.kind = Kind::kUnary, .text = sign, .operands = {signed_value()}});
      }
    }
    return power();
  }

  Pointer power() {
    Pointer value = trailer();
    if (take("**")) return binary(BinaryOperator::kPower, std::move(value), signed_value());
    return value;
  }

  Pointer trailer() {
    Pointer value = atom();
    for (;;) {
      if (take("(")) {
        value = call(std::move(value));
      } else if (take("[")) {
        value = make({.kind = Kind::kSubscript, .operands = {std::move(value), key()}});
        expect("]");
      } else if (!next_is("...") && take(".")) {
        value = make({.kind = Kind::kAttribute, .text = name(), .operands = {std::move(value)}});
      } else {
        return value;
      }
    }
  }

  Pointer call(Pointer function) {
    Node node{.kind = Kind::kCall, .operands = {std::move(function)}};
    while (!take(")")) {
      const std::size_t before = at_;
      skip();
      std::string keyword;
      if (at_ < text_.size() && is_letter(text_[at_])) keyword = name();
      if (!keyword.empty() && !next_is("==") && take("=")) {
        node.keywords.emplace_back(std::move(keyword), condition());
      } else {
        at_ = before;
        if (!node.keywords.empty()) fail("an argument by position follows one by name");
        node.operands.push_back(condition());
      }
      if (!take(",")) {
        expect(")");
        break;
      }
    }
    return make(std::move(node));
  }

  Pointer key() {
    Pointer first = key_item();
    if (!next_is(",")) return first;
    Node node{.kind = Kind::kTuple, .operands = {std::move(first)}};
    while (take(",")) {
      if (next_is("]")) break;
      node.operands.push_back(key_item());
    }
    return make(std::move(node));
  }

  Pointer key_item() {
    if (take("...")) return make({.value = {EllipsisValue{}}});
    const Pointer none = make({});
    const auto bound = [&] {
      return next_is(":") || next_is("]") || next_is(",") ? none : condition();
    };
    Pointer start = bound();
    if (!take(":")) {
      if (start == none) fail("an index is missing");
      return start;
    }
    Node node{.kind = Kind::kSlice, .operands = {std::move(start), bound(), none}};
    if (take(":")) node.operands[2] = bound();
    return make(std::move(node));
  }

  std::string name() {
    skip();
    const std::size_t begin = at_;
    if (at_ >= text_.size() || !is_letter(text_[at_])) fail("a name is missing");
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  Pointer number() {
    const char* const begin = text_.data() + at_;
    const char* const end = text_.data() + text_.size();
    double decimal = 0;
    const auto result = std::from_chars(begin, end, decimal);
    if (result.ec != std::errc()) fail("a number is out of range");
    const std::string_view digits(begin, static_cast<std::size_t>(result.ptr - begin));
    at_ += digits.size();
    std::int64_t integer = 0;
    const auto whole = std::from_chars(begin, result.ptr, integer);
    if (whole.ec == std::errc() && whole.ptr == result.ptr) return make({.value = {integer}});
    return make({.value = {decimal}});
  }

  Pointer quoted(char quote) {
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a text has no end");
    const std::string inner(text_.substr(at_ + 1, end - at_ - 1));
    if (inner.find('\\') != std::string::npos) fail("a text has a backslash");
    at_ = end + 1;
    return make({.value = {inner}});
  }

  Pointer atom() {
    skip();
    if (at_ >= text_.size()) fail("it ends here");
    const char c = text_[at_];
    if ((c >= '0' && c <= '9') || (c == '.' && !next_is("..."))) return number();
    if (c == '\'' || c == '"') return quoted(c);
    if (take("(")) {
      if (take(")")) return make({.kind = Kind::kTuple});
      Pointer inner = tuple();
      expect(")");
      return inner;
    }
    if (take("[")) {
      Node node{.kind = Kind::kList};
      while (!take("]")) {
        node.operands.push_back(condition());
        if (take(",")) continue;
        expect("]");
        break;
      }
      return make(std::move(node));
    }
    if (!is_letter(c)) fail(fmt::format("'{}' is not expected here", c));
    std::string word = name();
    if (word == "None") return make({});
    if (word == "True" || word == "False") return make({.value = {word == "True"}});
    if (word == "lambda") fail("functions cannot be defined here");
    return make({.kind = Kind::kName, .text = std::move(word)});
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

class Walk {
 public:
  Walk(Evaluator& evaluator, const Expression::Names& names)
      : evaluator_(evaluator), names_(names) {}

  Value value(const Node& node) {
    const auto operand = [&](std::size_t i) { return value(*node.operands[i]); };
    switch (node.kind) {
      case Kind::kValue:
        return node.value;
      case Kind::kName:
        return name(node.text);
      case Kind::kAttribute:
        return evaluator_.attribute(operand(0), node.text);
      case Kind::kCall: {
        const Value function = operand(0);
        std::vector<Value> arguments;
        for (std::size_t i = 1; i < node.operands.size(); ++i) arguments.push_back(operand(i));
        Keywords keywords;
        for (const auto& [key, given] : node.keywords) keywords.emplace(key, value(*given));
        return evaluator_.call(function, arguments, keywords);
      }
      case Kind::kSubscript:
        return evaluator_.subscript(operand(0), operand(1));
      case Kind::kSlice:
        return Evaluator::slice(operand(0), operand(1), operand(2));
      case Kind::kTuple:
      case Kind::kList: {
        std::vector<Value> items;
        for (std::size_t i = 0; i < node.operands.size(); ++i) items.push_back(operand(i));
        return evaluator_.sequence(node.kind == Kind::kList, std::move(items));
      }
      case Kind::kUnary:
        if (node.text == "-") return evaluator_.negative(operand(0));
        if (node.text == "+") return evaluator_.positive(operand(0));
        if (node.text == "~") return evaluator_.inverted(operand(0));
        return evaluator_.logical_not(operand(0));
      case Kind::kBinary: {
        const Value a = operand(0);
        return evaluator_.binary(node.binary, a, operand(1));
      }
      case Kind::kCompare: {
        const Value a = operand(0);
        return evaluator_.compare(node.comparison, a, operand(1));
      }
      case Kind::kAnd: {
        Value a = operand(0);
        return evaluator_.truth(a) ? operand(1) : a;
      }
      case Kind::kOr: {
        Value a = operand(0);
        return evaluator_.truth(a) ? a : operand(1);
      }
      case Kind::kCondition:
        return evaluator_.truth(operand(1)) ? operand(0) : operand(2);
    }
    return {};
  }

 private:
  Value name(const std::string& text) {
    if (auto bound = names_(text)) return *bound;
    if (const auto function = bare_function(text)) return {Name{*function}};
    return evaluator_.global(text);
  }

  Evaluator& evaluator_;
  const Expression::Names& names_;
};

}  // namespace

Expression Expression::parse(std::string_view text) {
  constexpr std::size_t kLongest = 4096;
  if (text.size() > kLongest) {
    throw Error(ErrorCode::kInvalidArgument, "an expression is too long");
  }
  Expression expression;
  expression.text_ = text;
  expression.root_ = Parser(expression.text_).parse_all();
  return expression;
}

Value Expression::evaluate(Evaluator& evaluator, const Names& names) const {
  return Walk(evaluator, names).value(*root_);
}

std::optional<Expression::PlainCall> Expression::plain_call() const {
  if (root_->kind == Kind::kName) return PlainCall{.function = root_->text, .keywords = {}};
  if (root_->kind != Kind::kCall || root_->operands.size() != 1 ||
      root_->operands[0]->kind != Kind::kName) {
    return std::nullopt;
  }
  PlainCall call{.function = root_->operands[0]->text, .keywords = {}};
  for (const auto& [name, node] : root_->keywords) {
    Expression argument;
    argument.text_ = text_;
    argument.root_ = node;
    call.keywords.emplace_back(name, std::move(argument));
  }
  return call;
}

}  // namespace kerf::layers::python
