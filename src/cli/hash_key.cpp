#include <fmt/format.h>
#include <openssl/rand.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "cli/command.h"
#include "kerf/error.h"
#include "serving/access.h"

namespace kerf::cli {
namespace {

constexpr auto kHelp =
    R"(Print the hash of a key, for `sha256` in [auth.keys.NAME] of a configuration. The key is read
from stdin, up to the end of the line: on a command line others could see it.)";

std::string new_key() {
  std::array<unsigned char, 32> bytes;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    throw Error(ErrorCode::kUnavailable, "this system gives no random bytes");
  }
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

int hash_key(bool make_one) {
  std::string key;
  if (make_one) {
    key = new_key();
    fmt::print("key    {}\nsha256 ", key);
  } else if (!std::getline(std::cin, key) || key.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "no key was given on stdin");
  }
  fmt::print("{:02x}\n", fmt::join(serving::hash_key(key), ""));
  return kSuccess;
}

}  // namespace

void add_hash_key(CLI::App& app, Action& chosen) {
  const auto make_one = std::make_shared<bool>(false);
  CLI::App& command = *app.add_subcommand("hash-key", kHelp);
  command.add_flag("--new", *make_one, "make a new key, and print it too");
  command.callback([=, &chosen] { chosen = [make_one] { return hash_key(*make_one); }; });
}

}  // namespace kerf::cli
