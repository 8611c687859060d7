#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cli/command.h"
#include "kerf/error.h"

namespace kerf::cli {
namespace {

constexpr auto kHelp =
    R"(Watch a running server: what each model is asked for, how long it takes, and what it costs.)";

struct Options {
  std::string server = "localhost:8000";
  double seconds = 2;
  unsigned count = 0;
};

using Samples = std::map<std::string, double, std::less<>>;  // by name and labels

// The server's metrics, in Prometheus' text form.
Samples fetch(const std::string& server) {
  namespace asio = boost::asio;
  namespace http = boost::beast::http;
  const std::size_t colon = server.rfind(':');
  const std::string host = server.substr(0, colon);
  const std::string port = colon == std::string::npos ? "8000" : server.substr(colon + 1);
  std::string text;
  try {
    asio::io_context context;
    asio::ip::tcp::socket socket(context);
    asio::connect(socket, asio::ip::tcp::resolver(context).resolve(host, port));
    http::request<http::empty_body> request(http::verb::get, "/metrics", 11);
    request.set(http::field::host, host);
    request.keep_alive(false);
    http::write(socket, request);
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> reply;
    http::read(socket, buffer, reply);
    if (reply.result() != http::status::ok) {
      throw Error(ErrorCode::kUnavailable,
                  fmt::format("it answers with status {}", reply.result_int()), server);
    }
    text = std::move(reply.body());
  } catch (const boost::system::system_error& error) {
    throw Error(ErrorCode::kUnavailable,
                fmt::format("cannot read its metrics: {}", error.code().message()), server);
  }
  Samples samples;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    const std::size_t space = line.rfind(' ');
    if (line.starts_with('#') || space == std::string_view::npos) continue;
    samples[std::string(line.substr(0, space))] =
        std::strtod(std::string(line.substr(space + 1)).c_str(), nullptr);
  }
  return samples;
}

double value(const Samples& samples, std::string_view name) {
  const auto it = samples.find(name);
  return it == samples.end() ? 0 : it->second;
}

// How much samples whose names begin so have grown.
double growth(const Samples& before, const Samples& now, const std::string& prefix) {
  double sum = 0;
  for (auto it = now.lower_bound(prefix); it != now.end() && it->first.starts_with(prefix); ++it) {
    sum += it->second - value(before, it->first);
  }
  return sum;
}

// Below which `share` of the values lie that a histogram has counted since: the bound of a bucket,
// in seconds; 0 if there are none.
double percentile(const Samples& before, const Samples& now, const std::string& name,
                  const std::string& labels, double share) {
  std::vector<std::pair<double, double>> buckets;
  const std::string prefix = fmt::format("{}_bucket{{{},le=\"", name, labels);
  for (auto it = now.lower_bound(prefix); it != now.end() && it->first.starts_with(prefix); ++it) {
    const double bound = std::strtod(it->first.c_str() + prefix.size(), nullptr);
    buckets.emplace_back(bound, it->second - value(before, it->first));
  }
  std::ranges::sort(buckets);
  if (buckets.empty() || buckets.back().second == 0) return 0;
  for (const auto& [bound, count] : buckets) {
    if (count >= share * buckets.back().second) return bound;
  }
  return 0;
}

std::string milliseconds(double seconds) {
  return seconds == 0 ? "-" : fmt::format("<{:.3g}", seconds * 1e3);
}

void show(const Options& options, const Samples& before, const Samples& now, double seconds) {
  constexpr double kMebi = 1 << 20;
  std::string page =
      fmt::format("{}   CPU {:.0f}%   memory {:.0f} MiB   files {:.0f}   threads {:.0f}\n\n",
                  options.server, growth(before, now, "process_cpu_seconds_total") / seconds * 100,
                  value(now, "process_resident_memory_bytes") / kMebi,
                  value(now, "process_open_fds"), value(now, "process_threads"));
  page += fmt::format("{:32} {:>10} {:>9} {:>8} {:>9} {:>9} {:>9} {:>7} {:>7}\n",
                      "MODEL/VERSION CUT", "requests/s", "errors/s", "waiting", "queue p99",
                      "run p50", "run p99", "rows", "cached");
  const std::string ok = "kerf_compute_seconds_count{";
  for (auto it = now.lower_bound(ok); it != now.end() && it->first.starts_with(ok); ++it) {
    const std::string labels = it->first.substr(ok.size(), it->first.size() - ok.size() - 1);
    const auto field = [&](const std::string& name) {
      const std::size_t start = labels.find(name + "=\"") + name.size() + 2;
      return labels.substr(start, labels.find('"', start) - start);
    };
    const std::string requests = fmt::format("kerf_requests_total{{{},code=\"", labels);
    const double all = growth(before, now, requests);
    const double good = growth(before, now, requests + "OK\"");
    if (all == 0 && field("cut") == "*") continue;
    const double runs = growth(before, now, fmt::format("kerf_batch_rows_count{{{}}}", labels));
    const double rows = growth(before, now, fmt::format("kerf_batch_rows_sum{{{}}}", labels));
    const std::string cache = fmt::format("kerf_cache_rows_total{{{},result=\"", labels);
    const double looked = growth(before, now, cache);
    page += fmt::format(
        "{:32} {:>10.0f} {:>9.0f} {:>8.0f} {:>9} {:>9} {:>9} {:>7} {:>7}\n",
        fmt::format("{}/{} {}", field("model"), field("version"), field("cut")), all / seconds,
        (all - good) / seconds,
        value(now, fmt::format("kerf_queue_length{{{}}}", labels.substr(0, labels.find(",cut=")))),
        milliseconds(percentile(before, now, "kerf_queue_seconds", labels, 0.99)),
        milliseconds(percentile(before, now, "kerf_compute_seconds", labels, 0.5)),
        milliseconds(percentile(before, now, "kerf_compute_seconds", labels, 0.99)),
        runs == 0 ? "-" : fmt::format("{:.1f}", rows / runs),
        looked == 0 ? "-"
                    : fmt::format("{:.0f}%", growth(before, now, cache + "hit") / looked * 100));
  }
  fmt::print("{}\ntimes in milliseconds\n", page);
  std::fflush(stdout);
}

int top(const Options& options) {
  Samples before = fetch(options.server);
  auto then = std::chrono::steady_clock::now();
  for (unsigned i = 0; options.count == 0 || i < options.count; ++i) {
    std::this_thread::sleep_for(std::chrono::duration<double>(options.seconds));
    Samples now = fetch(options.server);
    const auto time = std::chrono::steady_clock::now();
    if (options.count != 1) fmt::print("\x1b[H\x1b[2J");  // from the top of an empty screen
    show(options, before, now, std::chrono::duration<double>(time - then).count());
    before = std::move(now);
    then = time;
  }
  return kSuccess;
}

}  // namespace

void add_top(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("top", kHelp);
  command.add_option("SERVER", options->server, "its host and port")->capture_default_str();
  command.add_option("--interval", options->seconds, "seconds between two looks")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0))
      ->type_name("S");
  command.add_option("--count", options->count, "how often it is shown; 1 leaves the screen alone")
      ->type_name("N");
  command.callback([=, &chosen] { chosen = [options] { return top(*options); }; });
}

}  // namespace kerf::cli
