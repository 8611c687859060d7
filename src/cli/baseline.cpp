#if defined(__x86_64__)

#include <unistd.h>

#include <string_view>

// kerf is compiled for x86-64-v2. On an older machine, say so instead of dying of an unknown
// instruction: this runs before anything else in the program. The exit code is kFailed.
[[gnu::constructor(101)]] static void require_baseline() {
  __builtin_cpu_init();
  // clang 14 does not know the level by its name; these are its newest parts.
  if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt")) return;
  constexpr std::string_view kMessage =
      "kerf: this processor is too old: kerf needs SSE4.2 and POPCNT (x86-64-v2, since 2009)\n";
  if (write(STDERR_FILENO, kMessage.data(), kMessage.size()) < 0) _exit(3);
  _exit(3);
}

#endif
