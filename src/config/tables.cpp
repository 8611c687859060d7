#include "config/tables.h"

#include <utility>

namespace kerf::config {
namespace {

// A key whose value lies in a part of Owner: `part` gives that part, `member` the value in it.
template <typename Kind, typename Owner, typename Part, typename PartOwner, typename T>
Key<Owner> key_in(Part part, std::string_view name, T PartOwner::*member, std::string_view help) {
  return {
      .name = name,
      .form = Kind::form,
      .help = help,
      .read = [=](const toml::node& node, Owner& owner) { Kind::read(node, part(owner).*member); },
      .show = [=](const Owner& owner) { return Kind::show(part(owner).*member); }};
}

// Keys of one part of a Config.
template <typename Part>
struct Keys {
  Part part;
  template <typename Kind, typename PartOwner, typename T>
  Key<Config> key(std::string_view name, T PartOwner::*member, std::string_view help) const {
    return key_in<Kind, Config>(part, name, member, help);
  }
};
template <typename Part>
Keys(Part) -> Keys<Part>;

constexpr auto kWhole = [](auto& config) -> auto& { return config; };
constexpr auto kOptions = [](auto& config) -> auto& { return config.server; };

constexpr auto kLimits = [](auto& config) -> auto& { return config.server.limits; };
constexpr auto kModels = [](auto& config) -> auto& { return config.models; };
constexpr auto kTls = [](auto& config) -> auto& { return config.server.tls; };
constexpr auto kAuth = [](auto& config) -> auto& { return config.auth; };
constexpr auto kCors = [](auto& config) -> auto& { return config.server.cors; };
constexpr auto kLog = [](auto& config) -> auto& { return config; };
constexpr auto kExtensions = [](auto& config) -> auto& { return config.extensions; };

Section<Config> server_section() {
  using Options = server::ServerOptions;
  const Keys keys{kOptions};
  return {
      .name = "server",
      .help = "Where the server listens, and how long it waits.",
      .keys = {
          keys.key<Text>("address", &Options::address,
                         "An IP address, `0.0.0.0` or `::` for all of the machine's, "
                         "`unix:/path` for a Unix socket, or `systemd` for the socket that systemd "
                         "passes."),
          keys.key<Count<0, 65535>>("port", &Options::port, "The TCP port; 0 for any free one."),
          Keys{kWhole}.key<GrpcPort>("grpc_port", &Config::grpc_port,
                                     "The TCP port for gRPC, 0 for any free one, `off`, or `next`: "
                                     "the one after `port`. Keys are asked for there with TLS "
                                     "only: without it, no gRPC where there are keys."),
          keys.key<Flag>("allow_shared_memory", &Options::allow_shared_memory,
                         "Clients on this machine may send tensors by POSIX shared memory. Any of "
                         "them can then have kerf read and write any such memory that kerf may."),
          keys.key<Count<0, 1024>>("io_threads", &Options::io_threads,
                                   "Threads for connections; 0 for one per core."),
          keys.key<Count<0, 1024>>("worker_threads", &Options::worker_threads,
                                   "Threads for runs that take long; 0 for one per core."),
          keys.key<Count<1>>("max_connections", &Options::max_connections,
                             "Further connections are refused, with status 503."),
          keys.key<Duration>("idle_timeout", &Options::idle_timeout,
                             "How long a connection may stay open between two requests."),
          keys.key<Duration>("request_timeout", &Options::request_timeout,
                             "How long a request may take to arrive, or a reply to be taken; a "
                             "large body has more, by its size."),
          keys.key<Duration>("drain_delay", &Options::drain_delay,
                             "How long a server that was told to stop still accepts connections, "
                             "while it says that it is not ready: for balancers to notice."),
          keys.key<Duration>("drain_timeout", &Options::drain_timeout,
                             "How long running requests may take to end when the server stops."),
      }};
}

Section<Config> limits_section() {
  using serving::Limits;
  const Keys keys{kLimits};  // namespace
  return {.name = "limits",
          .help = "What the server refuses rather than tries.",
          .keys = {
              keys.key<Bytes>(
                  "request_bytes", &Limits::request_bytes,
                  "The largest body of a request, and again once it is decompressed; larger "
                  "ones are refused, with status 413."),
              keys.key<Count<1>>("tensor_elements", &Limits::tensor_elements,
                                 "The most elements of one tensor that is fed or fetched."),
              keys.key<Bytes>("reply_bytes", &Limits::reply_bytes,
                              "All tensors of a reply, in memory."),
              keys.key<Count<0>>(
                  "queue_length", &Limits::queue_length,
                  "Calls of one model that may wait for a worker; further ones are refused, with "
                  "status 503."),
              keys.key<Bytes>("queue_bytes", &Limits::queue_bytes,
                              "The tensors of all calls that wait."),
              keys.key<Count<1>>("tensors_per_call", &Limits::tensors_per_call,
                                 "Tensors that a call feeds, and likewise fetches."),
              keys.key<Count<1>>("cuts_per_model", &Limits::cuts_per_model,
                                 "Cuts that are kept ready; further ones displace the oldest."),
              keys.key<Count<1>>("plans_per_model", &Limits::plans_per_model,
                                 "Plans (a cut and its shapes) that are kept ready, likewise."),
          }};
}  // namespace kerf::config

Section<Config> models_section() {
  const Keys keys{kModels};
  return {
      .name = "models",
      .help = "Which models are served.",
      .keys = {
          keys.key<TextList>("paths", &Models::paths,
                             "Model files, or folders of them, `NAME=PATH` to give one another "
                             "name: as on the command line, whose paths are added to these."),
          keys.key<Control>("control", &Models::control,
                            "Who decides while the server runs: nobody, clients by the load and "
                            "unload calls, or the files, which are then watched."),
          keys.key<Duration>(
              "poll_interval", &Models::poll_interval,
              "How often files are looked at. What has changed is loaded when it has "
              "stayed the same for this long."),
          keys.key<Count<0, 1024>>("load_threads", &Models::load_threads,
                                   "Files that are read at once at the start; 0 for one per core."),
          keys.key<PrecisionName>("precision", &Models::precision,
                                  "In what the weights of models are kept and multiplied, unless "
                                  "a model says otherwise: docs/tuning.md tells what that costs "
                                  "and gains. `kerf check` measures the error."),
          keys.key<Flag>("start_without_all", &Models::start_without_all,
                         "Serve what can be served when a model cannot, instead of ending. The "
                         "server is not ready until every model is."),
      }};
}

Section<Config> tls_section() {
  using server::TlsOptions;
  const Keys keys{kTls};
  return {
      .name = "tls",
      .help =
          "Encryption: TLS 1.2 and 1.3. The files are read again on SIGHUP, for gRPC at the "
          "next start.",
      .keys = {
          keys.key<Path>("certificate", &TlsOptions::certificate,
                         "The server's certificate and those between it and the root, in a PEM "
                         "file. Without one the server does not encrypt."),
          keys.key<Path>("key", &TlsOptions::key, "The certificate's private key, in a PEM file."),
          keys.key<Path>("client_ca", &TlsOptions::client_ca,
                         "Certificates in a PEM file. If given, only clients are served that show "
                         "a certificate signed by one of these."),
      }};
}

Section<Config> auth_section() {
  const Keys keys{kAuth};
  return {
      .name = "auth",
      .help = "Who may use the server. Without any key, everybody may.",
      .keys = {
          keys.key<Flag>("open_health", &Auth::open_health,
                         "The health endpoints answer without a key, as Kubernetes' probes need."),
          keys.key<Flag>("open_metrics", &Auth::open_metrics, "So does `/metrics`."),
      }};
}

Section<Config> cors_section() {
  using server::CorsOptions;
  const Keys keys{kCors};
  return {.name = "cors",
          .help = "Pages of other sites that may call the server from a browser.",
          .keys = {
              keys.key<TextList>("origins", &CorsOptions::origins,
                                 "Their origins (`https://example.org`), or `*` for every page."),
              keys.key<Duration>("max_age", &CorsOptions::max_age,
                                 "How long a browser may keep the answer before it asks again."),
          }};
}

Section<Config> log_section() {
  const Keys keys{kLog};
  return {.name = "log",
          .help = "What the server says, on stderr.",
          .keys = {keys.key<Text>("level", &Config::log_level,
                                  "`debug`, which has a line for each request, `info`, `warn`, "
                                  "`error` or `off`."),
                   keys.key<Text>("format", &Config::log_format,
                                  "How lines look: `text`, or `json` for an object a line.")}};
}

Section<Config> extensions_section() {
  const Keys keys{kExtensions};
  return {
      .name = "extensions",
      .help = "What stands for layers that are not Keras' own: see docs/custom-layers.md.",
      .keys = {
          keys.key<TextList>("aliases", &ExtensionList::aliases,
                             "`NAME=MEANING`: the class of Keras or the expression that computes "
                             "what a class or function of the model author's does."),
          keys.key<TextList>("plugins", &ExtensionList::plugins,
                             "Shared libraries with layers of your own. Their code runs when a "
                             "model is loaded: name only what you trust."),
      }};
}

constexpr auto kSelf = [](auto& owner) -> auto& { return owner; };
constexpr auto kModelSettings = [](auto& spec) -> auto& { return spec.options.serving; };
constexpr auto kModelOptions = [](auto& spec) -> auto& { return spec.options; };

}  // namespace

const std::vector<Section<Config>>& sections() {
  static const std::vector<Section<Config>> all{
      server_section(), models_section(), limits_section(),     tls_section(),
      auth_section(),   cors_section(),   extensions_section(), log_section()};
  return all;
}

const Section<serving::ModelSpec>& model_section() {
  using serving::ModelOptions;
  using serving::ModelSpec;
  static const Section<ModelSpec> section{
      .name = "models.NAME",
      .help = "A model, and how it is served. NAME is what clients call it.",
      .keys = {
          key_in<Path, ModelSpec>(kSelf, "path", &ModelSpec::path,
                                  "A model file, a folder that is one, or a folder of version "
                                  "folders (`1/model.keras`)."),
          key_in<Versions, ModelSpec>(kModelOptions, "versions", &ModelOptions::versions,
                                      "The versions that are served, of those that are there: "
                                      "`\"latest\"`, `\"latest 3\"`, `\"all\"`, or a list, as "
                                      "`[1, 4]`."),
          key_in<Labels, ModelSpec>(kModelOptions, "labels", &ModelOptions::labels,
                                    "Names for versions: `{ stable = 3, canary = 4 }`."),
          key_in<Flag, ModelSpec>(
              kModelOptions, "load_at_start", &ModelOptions::load_at_start,
              "`false`: the model is served only once it was loaded by a call."),
          key_in<Count<0>, ModelSpec>(kModelSettings, "queue_length",
                                      &serving::ModelSettings::queue_length,
                                      "Calls of the model that may wait for a worker; 0 is "
                                      "`limits.queue_length`."),
          key_in<OwnPrecision, ModelSpec>(
              kModelSettings, "precision", &serving::ModelSettings::precision,
              "In what its weights are kept and multiplied; without this, `models.precision`."),
      }};
  return section;
}

const Section<serving::Batching>& batching_section() {
  using serving::Batching;
  static const Section<Batching> section{
      .name = "models.NAME.batching",
      .help = "How calls of a model are run together.",
      .keys = {
          key_in<Count<1>, Batching>(kSelf, "max_rows", &Batching::max_rows,
                                     "The most samples of one run; 1 has every call run alone."),
          key_in<Duration, Batching>(kSelf, "delay", &Batching::delay,
                                     "How long a call waits for others where it could run at once. "
                                     "What waits while all workers are busy is run together in any "
                                     "case."),
      }};
  return section;
}

const Section<serving::NamedCut>& cut_section() {
  using serving::NamedCut;
  static const Section<NamedCut> section{
      .name = "models.NAME.cuts.CUT",
      .help = "A part of a model that has a name: a signature for clients of TensorFlow Serving.",
      .keys = {
          key_in<TextList, NamedCut>(kSelf, "feeds", &NamedCut::feeds,
                                     "The tensors that are given; `[]` is the model's inputs."),
          key_in<TextList, NamedCut>(kSelf, "fetches", &NamedCut::fetches,
                                     "The tensors that are wanted; `[]` is the model's outputs."),
          key_in<Bytes, NamedCut>(kSelf, "cache", &NamedCut::cache_bytes,
                                  "How much memory keeps results, so that equal inputs are not "
                                  "computed again; 0 for none."),
      }};
  return section;
}

const Section<serving::AccessKey>& key_section() {
  using serving::AccessKey;
  static const Section<AccessKey> section{
      .name = "auth.keys.NAME",
      .help =
          "A key that clients show, as `Authorization: Bearer KEY` or `X-API-Key: KEY`. NAME "
          "is for logs.",
      .keys = {
          key_in<Hash, AccessKey>(kSelf, "sha256", &AccessKey::hash,
                                  "The key's hash, as `kerf hash-key` prints it."),
          key_in<Moment, AccessKey>(kSelf, "expires", &AccessKey::expires,
                                    "When it is no longer good; without this, never."),
          key_in<TextList, AccessKey>(kSelf, "models", &AccessKey::models,
                                      "The models it is good for; `[]` is all of them."),
          key_in<Real, AccessKey>(kSelf, "requests_per_second", &AccessKey::requests_per_second,
                                  "How many requests it may make, a second's worth of them at "
                                  "once; 0 is any number."),
          key_in<Flag, AccessKey>(kSelf, "may_control", &AccessKey::may_control,
                                  "It may load and unload models."),
      }};
  return section;
}

}  // namespace kerf::config
