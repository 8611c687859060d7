#include "layers/python/interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "kerf/error.h"
#include "layers/python/instructions.h"

namespace kerf::layers::python {
namespace {

using Kind = Instruction::Kind;

class Interpreter {
 public:
  Interpreter(Evaluator& evaluator, const Code& code)
      : evaluator_(evaluator),
        code_(code),
        instructions_(decode(code)),
        variables_(code.variables.size()) {}

  void bind(const Closure& closure, const std::vector<Value>& arguments, const Keywords& keywords) {
    if ((code_.flags & (Code::kStarArguments | Code::kStarKeywords)) != 0) {
      evaluator_.refuse("it takes any number of arguments");
    }
    if ((code_.flags & Code::kGenerators) != 0) evaluator_.refuse("it is a generator");
    const auto positional = static_cast<std::size_t>(code_.arguments);
    const std::size_t count = positional + static_cast<std::size_t>(code_.keyword_only);
    if (arguments.size() > positional) {
      evaluator_.refuse(fmt::format("it takes {} arguments", positional));
    }
    for (std::size_t i = 0; i < arguments.size(); ++i) variables_[i] = arguments[i];
    for (const auto& [name, value] : keywords) {
      const auto end = code_.variables.begin() + static_cast<std::ptrdiff_t>(count);
      const auto found = std::find(code_.variables.begin(), end, name);
      if (found == end) evaluator_.refuse(fmt::format("it has no argument {}", name));
      variables_[static_cast<std::size_t>(found - code_.variables.begin())] = value;
    }
    if (closure.defaults.size() > positional) damaged();
    for (std::size_t i = 0; i < closure.defaults.size(); ++i) {
      std::optional<Value>& variable = variables_[positional - closure.defaults.size() + i];
      if (!variable) variable = closure.defaults[i];
    }
    for (std::size_t i = 0; i < count; ++i) {
      // Which a layer gives by itself.
      if (!variables_[i] && code_.variables[i] == "training") variables_[i] = Value{false};
      if (!variables_[i] && code_.variables[i] == "mask") variables_[i] = Value{};
      if (!variables_[i]) {
        evaluator_.refuse(fmt::format("its argument {} is not given", code_.variables[i]));
      }
    }
    const std::size_t first = code_.variables.size() - code_.free.size();
    for (std::size_t i = 0; i < code_.free.size(); ++i) {
      if (i >= closure.free.size()) {
        evaluator_.refuse(
            fmt::format("it reads the variable '{}', which is not in the file", code_.free[i]));
      }
      variables_[first + i] = closure.free[i];
    }
  }

  Value run() {
    for (std::size_t at = 0; at < instructions_.size();) {
      const Instruction& instruction = instructions_[at];
      if (instruction.kind == Kind::kReturn) return pop();
      if (instruction.kind == Kind::kReturnConstant) return constant(instruction.argument);
      const std::size_t next = step(instruction, at + 1);
      if (next <= at) evaluator_.refuse("it loops");
      at = next;
    }
    damaged();
  }

 private:
  [[noreturn]] static void damaged() {
    throw Error(ErrorCode::kInvalidFile,
                "the Python code is damaged: it is not what a compiler makes");
  }

  void push(Value value) {
    constexpr std::size_t kDeepest = 4096;
    if (stack_.size() > kDeepest) damaged();
    stack_.push_back(std::move(value));
  }
  Value pop() {
    if (stack_.empty()) damaged();
    Value value = std::move(stack_.back());
    stack_.pop_back();
    return value;
  }
  Value& peek(std::size_t depth) {
    if (depth == 0 || depth > stack_.size()) damaged();
    return stack_[stack_.size() - depth];
  }
  std::vector<Value> pop_several(std::size_t count) {
    if (count > stack_.size()) damaged();
    const auto first = stack_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<Value> values(first, stack_.end());
    stack_.erase(first, stack_.end());
    return values;
  }

  Value constant(std::uint32_t index) const {
    if (index >= code_.constants.size()) damaged();
    return evaluator_.from_object(*code_.constants[index]);
  }
  const std::string& name(std::uint32_t index) const {
    if (index >= code_.names.size()) damaged();
    return code_.names[index];
  }
  void load(std::uint32_t index) {
    if (index >= variables_.size()) damaged();
    if (!variables_[index]) {
      evaluator_.refuse(fmt::format("it reads {} before it is set", code_.variables[index]));
    }
    push(*variables_[index]);
  }
  void store(std::uint32_t index) {
    if (index >= variables_.size()) damaged();
    variables_[index] = pop();
  }

  std::vector<std::string> names_in(const Value& value) const {
    const auto* sequence = value.as<Sequence>();
    if (sequence == nullptr) damaged();
    std::vector<std::string> names;
    for (const Value& item : *sequence->items) {
      if (!item.is<std::string>()) damaged();
      names.push_back(*item.as<std::string>());
    }
    return names;
  }

  // The arguments on the stack, the last of them by these names, and below them the function:
  // beside a mark if `marked`.
  void call(std::size_t count, const std::vector<std::string>& names, bool marked) {
    std::vector<Value> arguments = pop_several(count);
    if (names.size() > count) damaged();
    Keywords keywords;
    const std::size_t by_position = count - names.size();
    for (std::size_t i = 0; i < names.size(); ++i) {
      keywords.emplace(names[i], std::move(arguments[by_position + i]));
    }
    arguments.resize(by_position);
    Value function = pop();
    if (marked) {
      Value other = pop();
      if (function.is<NullValue>()) std::swap(function, other);
      if (!other.is<NullValue>()) damaged();
    }
    push(evaluator_.call(function, arguments, keywords));
  }

  void call_pairs(std::uint32_t argument) {
    const std::size_t pairs = argument >> 8;
    const std::vector<Value> flat = pop_several(2 * pairs);
    Keywords keywords;
    for (std::size_t i = 0; i < flat.size(); i += 2) {
      if (!flat[i].is<std::string>()) damaged();
      keywords.emplace(*flat[i].as<std::string>(), flat[i + 1]);
    }
    const std::vector<Value> arguments = pop_several(argument & 0xff);
    const Value function = pop();
    push(evaluator_.call(function, arguments, keywords));
  }

  void old_slice(std::uint32_t which) {
    Value stop;
    Value start;
    if ((which & 2U) != 0) stop = pop();
    if ((which & 1U) != 0) start = pop();
    const Value x = pop();
    push(evaluator_.subscript(x, Evaluator::slice(std::move(start), std::move(stop), {})));
  }

  void map(std::uint32_t count, bool keys_on_top) {
    std::map<std::string, Value> items;
    if (keys_on_top) {
      const std::vector<std::string> names = names_in(pop());
      const std::vector<Value> values = pop_several(count);
      if (names.size() != values.size()) damaged();
      for (std::size_t i = 0; i < names.size(); ++i) items.emplace(names[i], values[i]);
    } else {
      const std::vector<Value> flat = pop_several(std::size_t{2} * count);
      for (std::size_t i = 0; i < flat.size(); i += 2) {
        if (!flat[i].is<std::string>()) evaluator_.refuse("it makes a dictionary of numbers");
        items.emplace(*flat[i].as<std::string>(), flat[i + 1]);
      }
    }
    push(Evaluator::mapping(std::move(items)));
  }

  [[noreturn]] void refuse(const Instruction& instruction) const {
    const std::string_view name = instruction.name;
    const auto is = [&](std::initializer_list<std::string_view> names) {
      return std::ranges::find(names, name) != names.end();
    };
    if (is({"GET_ITER", "FOR_ITER", "SETUP_LOOP", "JUMP_BACKWARD"})) evaluator_.refuse("it loops");
    if (is({"MAKE_FUNCTION", "MAKE_CLOSURE", "LOAD_CLOSURE", "LOAD_FAST_AND_CLEAR"})) {
      evaluator_.refuse("it holds a function of its own, as a loop in brackets does");
    }
    if (is({"CALL_FUNCTION_EX", "CALL_FUNCTION_VAR", "CALL_FUNCTION_VAR_KW", "CALL_FUNCTION_KW"})) {
      evaluator_.refuse("it calls a function with * or **");
    }
    if (is({"STORE_SUBSCR", "STORE_ATTR", "STORE_GLOBAL"})) {
      evaluator_.refuse("it changes an object");
    }
    if (name == "RAISE_VARARGS") evaluator_.refuse("it raises an exception");
    if (name.empty()) {
      evaluator_.refuse(
          fmt::format("its code has the instruction {} of Python", instruction.argument));
    }
    evaluator_.refuse(fmt::format("its code has the instruction {} of Python", name));
  }

  // Returns the number of the instruction that follows, which is `next` unless it jumps.
  std::size_t step(const Instruction& instruction, std::size_t next) {
    const std::uint32_t argument = instruction.argument;
    switch (instruction.kind) {
      case Kind::kNothing:
        break;
      case Kind::kPop:
        pop();
        break;
      case Kind::kSwap:
        std::swap(peek(1), peek(argument));
        break;
      case Kind::kCopy:
        push(Value(peek(argument)));
        break;
      case Kind::kRotate: {
        peek(argument);
        const auto from = stack_.end() - static_cast<std::ptrdiff_t>(argument);
        std::rotate(from, stack_.end() - 1, stack_.end());
        break;
      }
      case Kind::kPushNull:
        push({NullValue{}});
        break;
      case Kind::kConstant:
        push(constant(argument));
        break;
      case Kind::kSmallInteger:
        push({static_cast<std::int64_t>(argument)});
        break;
      case Kind::kVariable:
        load(argument);
        break;
      case Kind::kTwoVariables:
        load(argument >> 4);
        load(argument & 15);
        break;
      case Kind::kStoreVariable:
        store(argument);
        break;
      case Kind::kStoreTwo:
        store(argument >> 4);
        store(argument & 15);
        break;
      case Kind::kStoreThenLoad:
        store(argument >> 4);
        load(argument & 15);
        break;
      case Kind::kGlobal:
        // A mark goes below the function or above it; the call takes either.
        if (instruction.condition) push({NullValue{}});
        push(evaluator_.global(name(argument)));
        break;
      case Kind::kAttribute:
        push(evaluator_.attribute(pop(), name(argument)));
        break;
      case Kind::kMethod: {
        const Value object = pop();
        push({NullValue{}});
        push(evaluator_.attribute(object, name(argument)));
        break;
      }
      case Kind::kNegative:
        push(evaluator_.negative(pop()));
        break;
      case Kind::kPositive:
        push(evaluator_.positive(pop()));
        break;
      case Kind::kNot:
        push(evaluator_.logical_not(pop()));
        break;
      case Kind::kInvert:
        push(evaluator_.inverted(pop()));
        break;
      case Kind::kBinary: {
        const Value b = pop();
        const Value a = pop();
        push(evaluator_.binary(static_cast<BinaryOperator>(argument), a, b));
        break;
      }
      case Kind::kCompare: {
        const Value b = pop();
        const Value a = pop();
        push(evaluator_.compare(static_cast<Comparison>(argument), a, b));
        break;
      }
      case Kind::kSubscript: {
        const Value key = pop();
        const Value x = pop();
        push(evaluator_.subscript(x, key));
        break;
      }
      case Kind::kSubscriptSlice: {
        Value stop = pop();
        Value start = pop();
        const Value x = pop();
        push(evaluator_.subscript(x, Evaluator::slice(std::move(start), std::move(stop), {})));
        break;
      }
      case Kind::kOldSlice:
        old_slice(argument);
        break;
      case Kind::kTuple:
      case Kind::kList:
        push(evaluator_.sequence(instruction.kind == Kind::kList, pop_several(argument)));
        break;
      case Kind::kMap:
      case Kind::kMapOfKeys:
        map(argument, instruction.kind == Kind::kMapOfKeys);
        break;
      case Kind::kSlice: {
        if (argument != 2 && argument != 3) damaged();
        Value step = argument == 3 ? pop() : Value{};
        Value stop = pop();
        Value start = pop();
        push(Evaluator::slice(std::move(start), std::move(stop), std::move(step)));
        break;
      }
      case Kind::kExtend: {
        const Value tail = pop();
        Value& list = peek(argument);
        const auto* items = tail.as<Sequence>();
        const auto* before = list.as<Sequence>();
        if (items == nullptr || before == nullptr) evaluator_.refuse("it calls a function with *");
        std::vector<Value> all = *before->items;
        all.insert(all.end(), items->items->begin(), items->items->end());
        list = evaluator_.sequence(true, std::move(all));
        break;
      }
      case Kind::kToTuple: {
        const Value list = pop();
        if (!list.is<Sequence>()) damaged();
        push(evaluator_.sequence(false, *list.as<Sequence>()->items));
        break;
      }
      case Kind::kUnpack: {
        const std::vector<Value> items = evaluator_.unpacked(pop(), argument);
        for (auto it = items.rbegin(); it != items.rend(); ++it) push(*it);
        break;
      }
      case Kind::kKeywords:
        keyword_names_ = names_in(constant(argument));
        break;
      case Kind::kCall:
        call(argument, std::exchange(keyword_names_, {}), true);
        break;
      case Kind::kCallPlain:
        call(argument, {}, false);
        break;
      case Kind::kCallNamed:
      case Kind::kCallPlainNamed: {
        const std::vector<std::string> names = names_in(pop());
        call(argument, names, instruction.kind == Kind::kCallNamed);
        break;
      }
      case Kind::kCallPairs:
        call_pairs(argument);
        break;
      case Kind::kImport: {
        const Value from = pop();
        pop();
        push(evaluator_.import(name(argument), !from.is<NoneValue>()));
        break;
      }
      case Kind::kImportFrom:
        push(evaluator_.attribute(peek(1), name(argument)));
        break;
      case Kind::kJump:
        return instruction.target;
      case Kind::kJumpIf:
        if (evaluator_.truth(pop()) == instruction.condition) return instruction.target;
        break;
      case Kind::kJumpIfOrPop:
        if (evaluator_.truth(peek(1)) == instruction.condition) return instruction.target;
        pop();
        break;
      case Kind::kJumpIfNone:
        if (pop().is<NoneValue>() == instruction.condition) return instruction.target;
        break;
      case Kind::kReturn:
      case Kind::kReturnConstant:
        damaged();
      case Kind::kRefused:
        refuse(instruction);
    }
    return next;
  }

  Evaluator& evaluator_;
  const Code& code_;
  std::vector<Instruction> instructions_;
  std::vector<std::optional<Value>> variables_;
  std::vector<Value> stack_;
  std::vector<std::string> keyword_names_;
};

}  // namespace

Value interpret(Evaluator& evaluator, const Code& code, const Closure& closure,
                const std::vector<Value>& arguments, const Keywords& keywords) {
  Interpreter interpreter(evaluator, code);
  interpreter.bind(closure, arguments, keywords);
  return interpreter.run();
}

}  // namespace kerf::layers::python
