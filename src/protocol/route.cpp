#include "protocol/route.h"

#include <algorithm>

namespace kerf::protocol {
namespace {

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// False for a % that no two hexadecimal digits follow.
bool percent_decode(std::string_view text, std::string& decoded) {
  decoded = text.substr(0, text.find('%'));
  for (std::size_t i = decoded.size(); i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return false;
    decoded.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

// Takes `segment` and the slash before it off the front of `path`.
bool take(std::string_view& path, std::string_view segment) noexcept {
  if (!path.starts_with('/') || !path.substr(1).starts_with(segment)) return false;
  const std::string_view rest = path.substr(1 + segment.size());
  if (!rest.empty() && rest.front() != '/') return false;
  path = rest;
  return true;
}

bool take_name(std::string_view& path, std::string& name) {
  if (!path.starts_with('/')) return false;
  const std::string_view segment = path.substr(1, path.substr(1).find('/'));
  path = path.substr(1 + segment.size());
  return !segment.empty() && percent_decode(segment, name);
}

}  // namespace

void Route::read(std::string_view target) {
  endpoint = Endpoint::kUnknown;
  model.clear();
  version.clear();
  label.clear();
  region.clear();
  std::string_view path = target.substr(0, target.find_first_of("?#"));
  // The absolute form, as proxies send it: scheme and host do not matter.
  if (path.starts_with("http://") || path.starts_with("https://")) {
    const std::size_t host = path.find("//") + 2;
    const std::size_t slash = path.find('/', host);
    path = slash == std::string_view::npos ? "/" : path.substr(slash);
  }
  if (take(path, "v1")) {
    endpoint = Endpoint::kMalformed;
    return read_tensorflow(path);
  }
  const auto end_with = [&](Endpoint at_end) {
    if (path.empty() || path == "/") endpoint = at_end;
  };
  if (take(path, "metrics")) return end_with(Endpoint::kMetrics);
  if (take(path, "openapi.json")) return end_with(Endpoint::kOpenApi);
  if (take(path, "docs")) return end_with(Endpoint::kApiPage);
  if (!take(path, "v2")) return;
  if (take(path, "health")) {
    if (take(path, "live")) return end_with(Endpoint::kLive);
    if (take(path, "ready")) return end_with(Endpoint::kReady);
    return;
  }
  if (take(path, "repository")) {
    if (take(path, "index")) return end_with(Endpoint::kRepositoryIndex);
    if (!take(path, "models") || !take_name(path, model)) return;
    if (take(path, "load")) return end_with(Endpoint::kModelLoad);
    if (take(path, "unload")) end_with(Endpoint::kModelUnload);
    return;
  }
  if (take(path, "logging")) return end_with(Endpoint::kLogSettings);
  if (take(path, "trace")) {
    if (take(path, "setting")) end_with(Endpoint::kTraceSettings);
    return;
  }
  if (take(path, "cudasharedmemory")) {
    endpoint = Endpoint::kCudaSharedMemory;
    return;
  }
  if (take(path, "systemsharedmemory")) {
    if (take(path, "region") && !take_name(path, region)) return;
    if (take(path, "status")) return end_with(Endpoint::kSharedMemoryStatus);
    if (take(path, "register")) return end_with(Endpoint::kSharedMemoryRegister);
    if (take(path, "unregister")) end_with(Endpoint::kSharedMemoryUnregister);
    return;
  }
  if (!take(path, "models")) return end_with(Endpoint::kServerMetadata);
  if (path.empty() || path == "/") {
    endpoint = Endpoint::kModels;
    return;
  }
  if (path == "/stats") {  // so a model of this name has no metadata
    endpoint = Endpoint::kStatistics;
    return;
  }
  if (!take_name(path, model)) return;
  if (take(path, "versions") && !take_name(path, version)) return;
  if (take(path, "infer")) return end_with(Endpoint::kInfer);
  if (take(path, "ready")) return end_with(Endpoint::kModelReady);
  if (take(path, "graph")) return end_with(Endpoint::kModelGraph);
  if (take(path, "config")) return end_with(Endpoint::kModelConfig);
  if (take(path, "stats")) return end_with(Endpoint::kStatistics);
  if (take(path, "trace")) {
    if (take(path, "setting")) end_with(Endpoint::kTraceSettings);
    return;
  }
  end_with(Endpoint::kModelMetadata);
}

// MODEL[/versions/V|/labels/L][:VERB|/metadata], where names hold no colon.
void Route::read_tensorflow(std::string_view path) {
  if (!take(path, "models")) return;
  std::string_view verb;
  if (const std::size_t colon = path.find(':'); colon != std::string_view::npos) {
    verb = path.substr(colon + 1);
    path = path.substr(0, colon);
  }
  if (!take_name(path, model)) return;
  if (take(path, "versions")) {
    if (!take_name(path, version) || version.size() > 18 ||
        version.find_first_not_of("0123456789") != std::string::npos) {
      return;
    }
    version.erase(0, std::min(version.find_first_not_of('0'), version.size() - 1));
  } else if (take(path, "labels") && !take_name(path, label)) {
    return;
  }
  const bool at_end = path.empty();
  if (verb.empty()) {
    if (at_end) endpoint = Endpoint::kTensorflowStatus;
    if (path == "/metadata") endpoint = Endpoint::kTensorflowMetadata;
  } else if (at_end) {
    if (verb == "predict") endpoint = Endpoint::kPredict;
    if (verb == "classify") endpoint = Endpoint::kClassify;
    if (verb == "regress") endpoint = Endpoint::kRegress;
  }
}

std::string_view allowed_methods(Endpoint endpoint) noexcept {
  switch (endpoint) {
    case Endpoint::kUnknown:
      return {};
    case Endpoint::kInfer:
    case Endpoint::kRepositoryIndex:
    case Endpoint::kModelLoad:
    case Endpoint::kModelUnload:
    case Endpoint::kSharedMemoryRegister:
    case Endpoint::kSharedMemoryUnregister:
    case Endpoint::kPredict:
    case Endpoint::kClassify:
    case Endpoint::kRegress:
      return "POST";
    case Endpoint::kTraceSettings:
    case Endpoint::kLogSettings:
    case Endpoint::kCudaSharedMemory:
    case Endpoint::kMalformed:
      return "GET, POST";
    default:
      return "GET, HEAD";
  }
}

}  // namespace kerf::protocol
