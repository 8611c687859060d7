#include "program/program.h"

#include <fmt/format.h>

#include <utility>

#include "kerf/error.h"

namespace kerf::program {

std::string Program::to_string() const {
  std::string text;
  const auto typed = [&](ValueId id) {
    return fmt::format("{}{}", dtype_name(values[id].type.dtype),
                       values[id].type.shape.to_string());
  };
  for (const ValueId feed : feeds) text += fmt::format("feed %{}: {}\n", feed, typed(feed));
  for (const Instruction& instruction : instructions) {
    std::string line;
    for (const ValueId result : instruction.results) {
      line += fmt::format("{}%{}: {}", line.empty() ? "" : ", ", result, typed(result));
    }
    line += fmt::format(" = {} (", describe(instruction.op));
    std::string_view separator;
    for (const ValueId operand : instruction.operands) {
      line += separator;
      const Constant& constant = values[operand].constant;
      if (constant.dtype() == DType::kFloat32 && constant.byte_size() == sizeof(float)) {
        line += fmt::format("{:g}", constant.elements().as<float>()[0]);
      } else {
        line += is_constant(operand) ? typed(operand) : fmt::format("%{}", operand);
      }
      separator = ", ";
    }
    text += fmt::format("{})    # {}\n", line,
                        instruction.source < sources.size() ? sources[instruction.source] : "");
  }
  for (const ValueId fetch : fetches) text += fmt::format("fetch %{}: {}\n", fetch, typed(fetch));
  return text;
}

ValueId ProgramBuilder::feed(const ValueType& type) {
  const ValueId id = placeholder(type);
  program_.feeds.push_back(id);
  return id;
}

ValueId ProgramBuilder::constant(Constant value) {
  const ValueId id = placeholder({value.dtype(), value.shape()});
  program_.values[id].constant = std::move(value);
  return id;
}

ValueId ProgramBuilder::placeholder(const ValueType& type) {
  program_.values.push_back({.type = type, .constant = {}});
  return static_cast<ValueId>(program_.values.size() - 1);
}

std::vector<ValueId> ProgramBuilder::append_all(Op op, std::vector<ValueId> operands) {
  std::vector<ValueType> types;
  types.reserve(operands.size());
  for (const ValueId operand : operands) types.push_back(program_.values[operand].type);
  std::vector<ValueId> results;
  for (const ValueType& type : infer(op, types)) results.push_back(placeholder(type));
  if (program_.sources.empty()) program_.sources.emplace_back();
  program_.instructions.push_back(
      {.op = std::move(op),
       .operands = std::move(operands),
       .results = results,
       .source = static_cast<std::uint32_t>(program_.sources.size() - 1)});
  return results;
}

ValueId ProgramBuilder::append(Op op, std::vector<ValueId> operands) {
  return append_all(std::move(op), std::move(operands)).front();
}

void ProgramBuilder::set_source(std::string address) {
  program_.sources.push_back(std::move(address));
}

Program ProgramBuilder::build() { return std::move(program_); }

}  // namespace kerf::program
