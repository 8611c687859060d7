#pragma once

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cstring>
#include <memory>
#include <optional>
#include <semaphore>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/exchange.h"
#include "serving/repository.h"

namespace kerf::protocol {

// A service over models of tests/data/golden, or another folder of tests/data.
inline std::unique_ptr<Service> serve_golden(std::initializer_list<std::string> names,
                                             const serving::Limits& limits = {},
                                             const std::string& folder = "golden") {
  std::vector<serving::ModelFile> files;
  for (const std::string& name : names) {
    files.push_back({.name = name,
                     .path = std::filesystem::path(KERF_SOURCE_DIR) / "tests/data" / folder /
                             (name + ".keras")});
  }
  auto service = std::make_unique<Service>(limits, 1);
  service->repository = serving::Repository::load(files, {.limits = limits});
  return service;
}

struct Call {
  std::string method = "POST";
  std::string target;
  std::string body;
  std::string content_encoding;
  std::string accept_encoding;
  std::optional<std::string> json_length;
};

struct Answer {
  int status = 0;
  std::string body;
  std::optional<std::size_t> json_length;
  std::string content_encoding;
  std::string allow;

  boost::json::value json() const {
    return boost::json::parse(body.substr(0, json_length.value_or(body.size())));
  }
  std::string error() const { return std::string(json().at("error").as_string()); }
  // The bytes behind the JSON, as numbers.
  template <typename T>
  std::vector<T> blob() const {
    const std::string_view bytes = std::string_view(body).substr(*json_length);
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
  }
};

// An exchange, and who waits for it.
struct Asker final : Waiter {
  explicit Asker(Service& service) : exchange(service, *this) {}
  void ready() noexcept override { semaphore.release(); }

  std::binary_semaphore semaphore{0};
  Exchange exchange;
};

// Has an exchange answer a request, as a server would.
inline Answer ask(Asker& asker, const Call& call) {
  std::vector<char> body(call.body.begin(), call.body.end());
  body.resize(body.size() + kBodyPadding, 'x');
  Request request{.method = call.method,
                  .target = call.target,
                  .content_encoding = call.content_encoding,
                  .accept_encoding = call.accept_encoding,
                  .body = std::span(body.data(), call.body.size())};
  if (call.json_length) request.json_length = *call.json_length;
  if (!asker.exchange.begin(request)) {
    asker.semaphore.acquire();
    asker.exchange.finish();
  }
  const Reply& reply = asker.exchange.reply();
  return {.status = reply.status,
          .body = std::string(reply.body.view()),
          .json_length = reply.json_length,
          .content_encoding = std::string(reply.content_encoding),
          .allow = std::string(reply.allow)};
}

inline Answer ask(Service& service, const Call& call) {
  Asker asker(service);
  return ask(asker, call);
}

inline std::string bytes_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return bytes_of(std::as_bytes(std::span(values)));
}

// A request with its JSON and its blobs, as the binary extension puts them together.
inline Call binary_call(std::string target, const std::string& json, const std::string& blobs) {
  return {.target = std::move(target),
          .body = json + blobs,
          .json_length = std::to_string(json.size())};
}

}  // namespace kerf::protocol
