#include <fmt/format.h>

#include <string>

#include "config/tables.h"

namespace kerf::config {
namespace {

template <typename Owner>
void print(std::string& out, const std::string& name, const Section<Owner>& section,
           const Owner& owner) {
  out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", name);
  for (const Key<Owner>& key : section.keys) {
    const std::string value = key.show(owner);
    if (!value.empty()) out += fmt::format("{} = {}\n", key.name, value);
  }
}

template <typename Owner>
void explain(std::string& out, const Section<Owner>& section) {
  out +=
      fmt::format("\n## `[{}]`\n\n{}\n\n| key | value | default | |\n| --- | --- | --- | --- |\n",
                  section.name, section.help);
  const Owner standard{};
  for (const Key<Owner>& key : section.keys) {
    // What has no sensible default has to be given, or may be left out.
    std::string value = key.show(standard);
    if (key.name == "sha256" || value == "\"\"") value.clear();
    out += fmt::format("| `{}` | {} | {} | {} |\n", key.name, key.form,
                       value.empty() ? "" : "`" + value + "`", key.help);
  }
}

}  // namespace

std::string print_config(const Config& config) {
  std::string out;
  for (const Section<Config>& section : sections()) print(out, section.name, section, config);
  for (const serving::ModelSpec& spec : config.models.named) {
    const std::string name = "models." + shown_key(spec.name);
    print(out, name, model_section(), spec);
    print(out, name + ".batching", batching_section(), spec.options.serving.batching);
    for (const serving::NamedCut& cut : spec.options.serving.cuts) {
      print(out, name + ".cuts." + shown_key(cut.name), cut_section(), cut);
    }
  }
  for (const serving::AccessKey& key : config.auth.keys) {
    print(out, "auth.keys." + shown_key(key.name), key_section(), key);
  }
  return out;
}

std::string reference() {
  std::string out = R"(# Configuration

<!-- Printed by `kerf config reference`; a test holds this page to it. -->

`kerf serve` needs no configuration. What is not its default is told on the command line or, for
more than a few things, in a file:

    kerf serve --config kerf.toml

```toml
[server]
address = "0.0.0.0"

[models]
control = "poll"                    # new versions are served as they appear

[models.ranker]
path = "/srv/models/ranker"         # /srv/models/ranker/1/model.keras and so on
versions = "latest 2"
labels = { stable = 3, canary = 4 }

[auth.keys.shop]
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
models = ["ranker"]
requests_per_second = 500
```

Options of the command line go before the file; every key can be set by one:
`--set server.idle_timeout='"2m"'`. `kerf config check kerf.toml` reads a file and says what is wrong
with it, with line and column; `kerf serve --print-config` prints what the server would go by.
SIGHUP has a running server read the file again: models, keys and certificates change without a
request being lost; the rest takes effect at the next start, and the log says so.

Sizes are `"64MiB"` or a number of bytes, durations `"30s"`, `"500ms"` or `"2m"`. A relative path is
meant from the folder of the file.
)";
  for (const Section<Config>& section : sections()) {
    explain(out, section);
    if (section.name == "models") {
      explain(out, model_section());
      explain(out, batching_section());
      explain(out, cut_section());
    }
    if (section.name == "auth") explain(out, key_section());
  }
  return out;
}

}  // namespace kerf::config
