#include "serving/metrics.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

namespace kerf::serving {
namespace {

using Out = std::back_insert_iterator<std::string>;

std::string escaped(std::string_view label) {
  std::string text;
  for (const char c : label) {
    if (c == '\n') {
      text += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') text += '\\';
    text += c;
  }
  return text;
}

void head(Out out, std::string_view name, std::string_view type, std::string_view help) {
  fmt::format_to(out, "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

// What was counted of one cut, and the labels it goes by.
struct Series {
  std::string labels;
  StatisticsCounts counts;
};

template <typename Scale, typename Counts>
void histogram(Out out, std::string_view name, std::string_view help, double unit,
               const std::vector<Series>& all, Counts StatisticsCounts::*member) {
  head(out, name, "histogram", help);
  for (const Series& series : all) {
    const Counts& counts = series.counts.*member;
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < Scale::kBounds; ++i) {
      below += counts.buckets[i];
      fmt::format_to(out, "{}_bucket{{{},le=\"{:.6g}\"}} {}\n", name, series.labels,
                     Scale::upper(i), below);
    }
    fmt::format_to(out, "{}_bucket{{{},le=\"+Inf\"}} {}\n", name, series.labels, counts.count());
    fmt::format_to(out, "{}_sum{{{}}} {:.9g}\n{}_count{{{}}} {}\n", name, series.labels,
                   static_cast<double>(counts.sum) * unit, name, series.labels, counts.count());
  }
}

void gauge(Out out, std::string_view name, std::string_view type, std::string_view help,
           double value) {
  head(out, name, type, help);
  fmt::format_to(out, "{} {:.15g}\n", name, value);
}

std::size_t open_files() {
  std::size_t count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count > 3 ? count - 3 : 0;  // without ".", ".." and the folder itself
}

// A number of /proc/self/status.
double status_number(std::string_view field) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field) && line.size() > field.size() && line[field.size()] == ':') {
      return std::strtod(line.c_str() + field.size() + 1, nullptr);
    }
  }
  return 0;
}

void write_process(Out out) {
  constexpr double kKib = 1024;
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  gauge(out, "process_cpu_seconds_total", "counter", "User and system CPU time.",
        seconds(used.ru_utime) + seconds(used.ru_stime));
  gauge(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
        status_number("VmRSS") * kKib);
  gauge(out, "process_virtual_memory_bytes", "gauge", "Virtual memory.",
        status_number("VmSize") * kKib);
  gauge(out, "process_open_fds", "gauge", "Open file descriptors.",
        static_cast<double>(open_files()));
  gauge(out, "process_max_fds", "gauge", "How many file descriptors may be open.",
        static_cast<double>(files.rlim_cur));
  gauge(out, "process_threads", "gauge", "Threads.", status_number("Threads"));
}

}  // namespace

void write_metrics(const Snapshot& models, std::string& text) {
  std::vector<Series> all;
  std::string waiting;
  std::string memory;
  std::string ready;
  std::string caches;
  std::string loads;
  for (const auto& [name, entry] : models.models()) {
    loads += fmt::format(
        "kerf_model_loads_total{{model=\"{0}\",result=\"ok\"}} {1}\n"
        "kerf_model_loads_total{{model=\"{0}\",result=\"failed\"}} {2}\n",
        escaped(name), entry.loads, entry.load_failures);
    for (const ModelVersion& version : entry.versions) {
      const std::string labels =
          fmt::format("model=\"{}\",version=\"{}\"", escaped(name), escaped(version.version));
      ready += fmt::format("kerf_model_ready{{{}}} {}\n", labels,
                           version.state == VersionState::kReady ? 1 : 0);
      if (version.model == nullptr) continue;
      const ServedModel& model = *version.model;
      waiting += fmt::format("kerf_queue_length{{{}}} {}\n", labels, model.queues().waiting());
      memory +=
          fmt::format("kerf_model_memory_bytes{{{}}} {}\n", labels, model.model().memory_bytes());
      for (const auto& cut : model.statistics()) {
        const std::string with_cut = fmt::format("{},cut=\"{}\"", labels, escaped(cut->name));
        all.push_back({.labels = with_cut, .counts = cut->statistics.read()});
        if (cut->cache) {
          caches += fmt::format("kerf_cache_bytes{{{}}} {}\n", with_cut, cut->cache->bytes());
        }
      }
    }
  }
  const Out out(text);
  head(out, "kerf_requests_total", "counter",
       "Requests, by how they ended. cut is empty for the whole model, * for cuts without a name.");
  for (const Series& series : all) {
    for (std::size_t i = 0; i < kOutcomes; ++i) {
      if (i != 0 && series.counts.requests[i] == 0) continue;
      fmt::format_to(out, "kerf_requests_total{{{},code=\"{}\"}} {}\n", series.labels,
                     outcome_name(static_cast<Outcome>(i)), series.counts.requests[i]);
    }
  }
  histogram<TimeScale>(out, "kerf_queue_seconds",
                       "Time that requests waited for a worker. Small ones need none.", 1e-9, all,
                       &StatisticsCounts::queue);
  histogram<TimeScale>(out, "kerf_compute_seconds", "Time of runs, each of a request or a batch.",
                       1e-9, all, &StatisticsCounts::compute);
  histogram<RowScale>(out, "kerf_batch_rows", "Rows of runs.", 1, all, &StatisticsCounts::rows);
  head(out, "kerf_cache_rows_total", "counter", "Rows looked for in feature caches.");
  for (const Series& series : all) {
    if (series.counts.cache_hits + series.counts.cache_misses == 0) continue;
    fmt::format_to(out,
                   "kerf_cache_rows_total{{{0},result=\"hit\"}} {1}\n"
                   "kerf_cache_rows_total{{{0},result=\"miss\"}} {2}\n",
                   series.labels, series.counts.cache_hits, series.counts.cache_misses);
  }
  head(out, "kerf_cache_bytes", "gauge", "Memory of feature caches.");
  text += caches;
  head(out, "kerf_queue_length", "gauge", "Requests that wait for a worker.");
  text += waiting;
  head(out, "kerf_model_ready", "gauge", "1 for a version that is served.");
  text += ready;
  head(out, "kerf_model_loads_total", "counter",
       "How often versions were loaded, or could not be.");
  text += loads;
  head(out, "kerf_model_memory_bytes", "gauge", "Weights in memory, with packed copies.");
  text += memory;
  write_process(out);
}

}  // namespace kerf::serving
