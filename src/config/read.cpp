#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/tables.h"
#include "kerf/error.h"

namespace kerf::config {
namespace {

// Insertions, deletions and substitutions that turn one text into the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, change}));
    }
  }
  return row.back();
}

// Reads TOML tables by the tables of tables.h, and collects what is wrong with them.
class Reader {
 public:
  explicit Reader(std::string name) : name_(std::move(name)) {}

  void read(const toml::table& root, Config& config) {
    std::vector<std::string_view> names;
    for (const Section<Config>& section : sections()) names.push_back(section.name);
    for (const auto& [name, node] : root) {
      const auto section = std::ranges::find(sections(), name.str(), &Section<Config>::name);
      if (section == sections().end()) {
        unknown(name, names, "");
        continue;
      }
      const toml::table* table = table_at(node, name.str());
      if (table == nullptr) continue;
      if (name.str() == "models") {
        read_models(*table, *section, config);
      } else if (name.str() == "auth") {
        read_auth(*table, *section, config);
      } else {
        read_keys(*table, section->keys, config, section->name);
      }
    }
  }

  // For messages that are about no place in particular.
  void problem(const std::string& text) { problems_.push_back(text); }

  void finish() const {
    if (problems_.empty()) return;
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}", fmt::join(problems_, "\n")));
  }

 private:
  void problem(const toml::source_region& place, std::string_view key, std::string_view what) {
    problems_.push_back(place.begin.line == 0
                            ? fmt::format("{}: {}: {}", name_, key, what)
                            : fmt::format("{}:{}:{}: {}: {}", name_, place.begin.line,
                                          place.begin.column, key, what));
  }

  void unknown(const toml::key& key, const std::vector<std::string_view>& known,
               const std::string& path) {
    std::string_view nearest;
    std::size_t least = std::max<std::size_t>(2, key.str().size() / 2) + 1;
    for (const std::string_view name : known) {
      const std::size_t distance = edit_distance(key.str(), name);
      if (distance < least) {
        least = distance;
        nearest = name;
      }
    }
    problem(
        key.source(), path.empty() ? std::string(key.str()) : path + "." + std::string(key.str()),
        nearest.empty() ? fmt::format("there is no such key here, but {}", fmt::join(known, ", "))
                        : fmt::format("there is no such key; did you mean '{}'?", nearest));
  }

  // The table that a node should be; null, with a problem, if it is none.
  const toml::table* table_at(const toml::node& node, std::string_view path) {
    const toml::table* table = node.as_table();
    if (table == nullptr) problem(node.source(), path, fmt::format("this is a table: [{}]", path));
    return table;
  }

  template <typename Owner>
  void read_keys(const toml::table& table, const std::vector<Key<Owner>>& keys, Owner& owner,
                 const std::string& path, const std::vector<std::string_view>& also = {}) {
    for (const auto& [name, node] : table) {
      if (std::ranges::find(also, name.str()) != also.end()) continue;
      const auto key = std::ranges::find(keys, name.str(), &Key<Owner>::name);
      if (key == keys.end()) {
        std::vector<std::string_view> names = also;
        for (const Key<Owner>& known : keys) names.push_back(known.name);
        unknown(name, names, path);
        continue;
      }
      try {
        key->read(node, owner);
      } catch (const Error& error) {
        problem(node.source(), path + "." + std::string(name.str()), error.message());
      }
    }
  }

  // What has no key of this name in [models] is a model.
  void read_models(const toml::table& table, const Section<Config>& section, Config& config) {
    toml::table own;
    for (const auto& [name, node] : table) {
      const toml::table* model = node.as_table();
      if (model == nullptr) {
        own.insert(name, node);
        continue;
      }
      const std::string path = "models." + shown_key(name.str());
      serving::ModelSpec spec;
      spec.name = std::string(name.str());
      check_name(name, path);
      read_keys(*model, model_section().keys, spec, path, {"batching", "cuts"});
      if (const toml::node* batching = model->get("batching")) {
        if (const toml::table* values = table_at(*batching, path + ".batching")) {
          read_keys(*values, batching_section().keys, spec.options.serving.batching,
                    path + ".batching");
        }
      }
      if (const toml::node* cuts = model->get("cuts")) read_cuts(*cuts, spec, path + ".cuts");
      if (spec.path.empty() && !model->contains("path")) {
        problem(model->source(), path, "a 'path' is missing: where the model lies");
      }
      config.models.named.push_back(std::move(spec));
    }
    read_keys(own, section.keys, config, section.name);
  }

  void read_cuts(const toml::node& node, serving::ModelSpec& spec, const std::string& path) {
    const toml::table* cuts = table_at(node, path);
    if (cuts == nullptr) return;
    for (const auto& [name, entry] : *cuts) {
      const std::string place = path + "." + shown_key(name.str());
      const toml::table* values = table_at(entry, place);
      if (values == nullptr) continue;
      serving::NamedCut cut;
      cut.name = std::string(name.str());
      check_name(name, place);
      read_keys(*values, cut_section().keys, cut, place);
      spec.options.serving.cuts.push_back(std::move(cut));
    }
  }

  void read_auth(const toml::table& table, const Section<Config>& section, Config& config) {
    read_keys(table, section.keys, config, section.name, {"keys"});
    const toml::node* node = table.get("keys");
    const toml::table* keys = node == nullptr ? nullptr : table_at(*node, "auth.keys");
    if (keys == nullptr) return;
    std::set<serving::KeyHash> hashes;
    for (const auto& [name, entry] : *keys) {
      const std::string path = "auth.keys." + shown_key(name.str());
      const toml::table* values = table_at(entry, path);
      if (values == nullptr) continue;
      serving::AccessKey key;
      key.name = std::string(name.str());
      read_keys(*values, key_section().keys, key, path);
      if (!values->contains("sha256")) {
        problem(values->source(), path,
                "a 'sha256' is missing: the key's hash, as `kerf hash-key` prints it");
      } else if (!hashes.insert(key.hash).second) {
        problem(values->source(), path, "another key has the same hash");
      }
      config.auth.keys.push_back(std::move(key));
    }
  }

  // Clients put names into paths, and proxies treat some characters there in ways of their own.
  void check_name(const toml::key& name, const std::string& path) {
    const bool good = !name.str().empty() && name.str() != "." && name.str() != ".." &&
                      std::ranges::none_of(name.str(), [](unsigned char c) {
                        return c <= 0x20 || c == 0x7f || c == '/' || c == ':' || c == '\\';
                      });
    if (!good) problem(name.source(), path, "a name has no '/', ':', '\\' or space");
  }

  std::string name_;
  std::vector<std::string> problems_;
};

void check_whole(const Config& config, Reader& reader) {
  const server::TlsOptions& tls = config.server.tls;
  if (tls.certificate.empty() != tls.key.empty()) {
    reader.problem("tls: 'certificate' and 'key' belong together");
  }
  if (!tls.client_ca.empty() && tls.certificate.empty()) {
    reader.problem("tls.client_ca: client certificates need a 'certificate' of the server too");
  }
  if (config.grpc_port >= 0 && !config.auth.keys.empty() && tls.certificate.empty()) {
    reader.problem(
        "server.grpc_port: keys are asked for over gRPC with TLS only: give [tls] a "
        "certificate, or set this to \"off\"");
  }
  constexpr std::string_view kLevels[] = {"debug", "info", "warn", "error", "off"};
  if (std::ranges::find(kLevels, config.log_level) == std::end(kLevels)) {
    reader.problem(
        fmt::format("log.level: '{}' is none of debug, info, warn, error, off", config.log_level));
  }
  if (config.log_format != "text" && config.log_format != "json") {
    reader.problem(fmt::format("log.format: '{}' is neither text nor json", config.log_format));
  }
}

toml::table parse(std::string_view text, const std::string& name) {
  try {
    return toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    throw Error(
        ErrorCode::kInvalidArgument, std::string(error.description()),
        fmt::format("{}:{}:{}", name, error.source().begin.line, error.source().begin.column));
  }
}

// "a.b = value" for "a.b".
void apply(const Override& given, Config& config) {
  Reader reader(given.option);
  toml::table root;
  try {
    root = toml::parse(given.key + " = " + given.value);
  } catch (const toml::parse_error& error) {
    throw Error(ErrorCode::kInvalidArgument, std::string(error.description()), given.option);
  }
  try {
    reader.read(root, config);
    reader.finish();
  } catch (const Error& error) {
    // The place within this line helps nobody.
    std::string what = error.message();
    const std::string place = given.option + ":1:";
    if (what.starts_with(place)) {
      what = given.option + what.substr(what.find(':', place.size()));
    }
    throw Error(ErrorCode::kInvalidArgument, std::move(what));
  }
}

}  // namespace

std::vector<serving::ModelSpec> Config::specs() const {
  std::vector<serving::ModelSpec> specs = models.named;
  for (const std::string& path : models.paths) specs.push_back(serving::parse_model_spec(path));
  for (serving::ModelSpec& spec : specs) {
    std::optional<Precision>& precision = spec.options.serving.precision;
    if (!precision) precision = models.precision;
  }
  return specs;
}

server::ServerOptions Config::server_options() const {
  server::ServerOptions options = server;
  // Keys that are sent for all to read would not stay secret, and gRPC's library asks for none
  // then.
  const bool checks_keys = auth.keys.empty() || !server.tls.certificate.empty();
  const bool tcp = options.address != "systemd" && !options.address.starts_with("unix:");
  if (grpc_port >= 0) {
    options.grpc_port = static_cast<std::uint16_t>(grpc_port);
  } else if (grpc_port == kNextPort && tcp && checks_keys && options.port != 65535) {
    options.grpc_port = static_cast<std::uint16_t>(options.port == 0 ? 0 : options.port + 1);
  }
  return options;
}

void check_overrides(std::span<const Override> overrides) {
  Config config;
  for (const Override& given : overrides) apply(given, config);
}

Config parse_config(std::string_view text, const std::string& name,
                    std::span<const Override> overrides) {
  Config config;
  Reader reader(name);
  reader.read(parse(text, name), config);
  for (const Override& given : overrides) {
    try {
      apply(given, config);
    } catch (const Error& error) {
      reader.problem(error.what());
    }
  }
  check_whole(config, reader);
  reader.finish();
  return config;
}

Config read_config(const std::optional<std::filesystem::path>& file,
                   std::span<const Override> overrides) {
  if (!file) return parse_config({}, {}, overrides);
  std::ifstream stream(*file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream.is_open() || stream.bad()) {
    throw Error(ErrorCode::kNotFound, "this configuration cannot be read", file->string());
  }
  return parse_config(text, file->string(), overrides);
}

}  // namespace kerf::config
