#include "layers/python/marshal.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cstring>
#include <utility>

#include "kerf/error.h"

namespace kerf::layers::python {
namespace {

using Kind = Object::Kind;
using Reference = std::shared_ptr<const Object>;
using Form = Code::Form;

[[noreturn]] void damaged(std::string_view what) {
  throw Error(ErrorCode::kInvalidFile, fmt::format("the Python code is damaged: {}", what));
}

constexpr unsigned kFlagReference = 0x80;
constexpr int kDeepest = 64;

class Reader {
 public:
  Reader(std::string_view bytes, Form form) : rest_(bytes), form_(form) {}

  std::shared_ptr<const Code> read_all() {
    const Reference object = read(0);
    if (object->kind != Kind::kCode) damaged("it is no code object");
    if (!rest_.empty()) damaged("something follows it");
    return object->code;
  }

 private:
  std::string_view take(std::size_t count) {
    if (count > rest_.size()) damaged("it ends too early");
    const std::string_view part = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return part;
  }

  template <typename T>
  T number() {
    static_assert(std::endian::native == std::endian::little);
    T value{};
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  // A number of elements, of which each takes at least `bytes` of what is left.
  std::size_t count(std::int64_t number, std::size_t bytes = 1) const {
    if (number < 0 || static_cast<std::uint64_t>(number) > rest_.size() / bytes) {
      damaged("it holds more than there is");
    }
    return static_cast<std::size_t>(number);
  }

  static Object made(Kind kind) {
    Object object;
    object.kind = kind;
    return object;
  }

  static Object text(std::string_view value) {
    Object object = made(Kind::kText);
    object.text = value;
    return object;
  }

  static Object other(std::string_view what) {
    Object object = made(Kind::kOther);
    object.text = what;
    return object;
  }

  static Object integer(std::int64_t value) {
    Object object = made(Kind::kInteger);
    object.integer = value;
    return object;
  }

  // Digits of 15 bits, the sign with their number.
  Object long_integer() {
    const auto signed_count = number<std::int32_t>();
    const bool negative = signed_count < 0;
    const std::size_t digits = count(negative ? -std::int64_t{signed_count} : signed_count, 2);
    std::uint64_t value = 0;
    const bool fits = digits <= 4;
    for (std::size_t i = 0; i < digits; ++i) {
      const auto digit = number<std::uint16_t>();
      if (i < 4) value |= static_cast<std::uint64_t>(digit & 0x7fff) << (15 * i);
    }
    if (!fits) return other("an integer of more than 60 bits");
    const auto magnitude = static_cast<std::int64_t>(value);
    return integer(negative ? -magnitude : magnitude);
  }

  Object decimal() {
    const std::string_view digits = take(number<std::uint8_t>());
    Object object = made(Kind::kFloat);
    const auto result =
        std::from_chars(digits.data(), digits.data() + digits.size(), object.number);
    if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) {
      damaged("a number is none");
    }
    return object;
  }

  Object sequence(Kind kind, std::int64_t size, int depth) {
    Object object = made(kind);
    object.items.reserve(count(size));
    for (std::int64_t i = 0; i < size; ++i) object.items.push_back(read(depth + 1));
    return object;
  }

  Object set(std::int64_t size, int depth) {
    sequence(Kind::kTuple, size, depth);
    return other("a set");
  }

  Object dictionary(int depth) {
    while (!rest_.empty() && rest_.front() != '0') {
      read(depth + 1);
      read(depth + 1);
    }
    take(1);
    return other("a dictionary");
  }

  Object body(unsigned type, int depth) {
    switch (type) {
      case 'N':
        return made(Kind::kNone);
      case '.':
        return made(Kind::kEllipsis);
      case 'T':
      case 'F': {
        Object object = made(Kind::kBool);
        object.integer = type == 'T' ? 1 : 0;
        return object;
      }
      case 'S':
        return other("StopIteration");
      case 'i':
        return integer(number<std::int32_t>());
      case 'I':
        return integer(number<std::int64_t>());
      case 'l':
        return long_integer();
      case 'f':
        return decimal();
      case 'g': {
        Object object = made(Kind::kFloat);
        object.number = number<double>();
        return object;
      }
      case 'x':
        decimal();
        decimal();
        return other("a complex number");
      case 'y':
        take(16);
        return other("a complex number");
      case 's':
      case 't':
      case 'u':
      case 'a':
      case 'A':
        return text(take(count(number<std::int32_t>())));
      case 'z':
      case 'Z':
        return text(take(number<std::uint8_t>()));
      case '(':
        return sequence(Kind::kTuple, number<std::int32_t>(), depth);
      case ')':
        return sequence(Kind::kTuple, number<std::uint8_t>(), depth);
      case '[':
        return sequence(Kind::kList, number<std::int32_t>(), depth);
      case ':':
        return sequence(Kind::kSlice, 3, depth);
      case '<':
      case '>':
        return set(number<std::int32_t>(), depth);
      case '{':
        return dictionary(depth);
      case 'c': {
        Object object = made(Kind::kCode);
        object.code = code(depth);
        return object;
      }
      default:
        damaged(fmt::format("it holds an object of the type {}", type));
    }
  }

  Reference read(int depth) {
    if (depth > kDeepest) damaged("it is nested too deeply");
    const unsigned first = static_cast<unsigned char>(take(1).front());
    const unsigned type = first & ~kFlagReference;
    if (type == 'r') return referred(objects_);
    if (type == 'R') return referred(interned_);
    // An object is numbered before its parts are.
    const std::size_t slot = objects_.size();
    const bool numbered = (first & kFlagReference) != 0;
    if (numbered) objects_.emplace_back();
    auto object = std::make_shared<const Object>(body(type, depth));
    if (numbered) objects_[slot] = object;
    if (type == 't' && form_ == Form::k27) interned_.push_back(object);
    return object;
  }

  Reference referred(const std::vector<Reference>& objects) {
    const auto index = number<std::int32_t>();
    if (index < 0 || static_cast<std::size_t>(index) >= objects.size() ||
        objects[static_cast<std::size_t>(index)] == nullptr) {
      damaged("it refers to an object that is not there");
    }
    return objects[static_cast<std::size_t>(index)];
  }

  Reference of_kind(Kind kind, int depth) {
    Reference object = read(depth + 1);
    if (object->kind != kind) damaged("a part of it is of another type than it has to be");
    return object;
  }

  std::string text_part(int depth) { return of_kind(Kind::kText, depth)->text; }

  std::vector<std::string> names_part(int depth) {
    std::vector<std::string> names;
    const Reference tuple = of_kind(Kind::kTuple, depth);
    for (const Reference& item : tuple->items) {
      if (item->kind != Kind::kText) damaged("a name is no text");
      names.push_back(item->text);
    }
    return names;
  }

  std::shared_ptr<const Code> code(int depth) {
    Code code;
    code.form = form_;
    code.arguments = number<std::int32_t>();
    if (form_ >= Form::k38) number<std::int32_t>();  // those by position only
    if (form_ >= Form::k30) code.keyword_only = number<std::int32_t>();
    if (form_ < Form::k311) number<std::int32_t>();  // the number of locals
    number<std::int32_t>();                          // the size of the stack
    code.flags = number<std::int32_t>();
    code.instructions = text_part(depth);
    code.constants = of_kind(Kind::kTuple, depth)->items;
    code.names = names_part(depth);
    code.variables = names_part(depth);
    if (form_ >= Form::k311) {
      const std::string kinds = text_part(depth);
      if (kinds.size() != code.variables.size()) damaged("its variables have no kinds");
      constexpr unsigned kFree = 0x80;
      for (std::size_t i = 0; i < kinds.size(); ++i) {
        if ((static_cast<unsigned char>(kinds[i]) & kFree) != 0) {
          code.free.push_back(code.variables[i]);
        } else if (!code.free.empty()) {
          damaged("its free variables are not the last");
        }
      }
    } else {
      code.locals = code.variables.size();
      code.free = names_part(depth);
      const std::vector<std::string> cells = names_part(depth);
      code.variables.insert(code.variables.end(), cells.begin(), cells.end());
      code.variables.insert(code.variables.end(), code.free.begin(), code.free.end());
    }
    text_part(depth);  // the file
    code.name = text_part(depth);
    if (form_ >= Form::k311) text_part(depth);  // the qualified name
    number<std::int32_t>();                     // the first line
    code.lines = text_part(depth);
    if (form_ >= Form::k311) text_part(depth);  // the table of exceptions
    const auto parameters = std::int64_t{code.arguments} + code.keyword_only;
    if (code.arguments < 0 || code.keyword_only < 0 ||
        parameters > static_cast<std::int64_t>(code.variables.size())) {
      damaged("it has fewer variables than arguments");
    }
    return std::make_shared<const Code>(std::move(code));
  }

  std::string_view rest_;
  Form form_;
  std::vector<Reference> objects_;   // those that may be referred to
  std::vector<Reference> interned_;  // the names of Python 2
};

}  // namespace

std::shared_ptr<const Code> read_code(std::string_view bytes) {
  // Nothing in the bytes says which Python wrote them, but only one form fits.
  for (const Form form : {Form::k311, Form::k38, Form::k30}) {
    try {
      return Reader(bytes, form).read_all();
    } catch (const Error&) {  // then of another
    }
  }
  return Reader(bytes, Form::k27).read_all();
}

}  // namespace kerf::layers::python
