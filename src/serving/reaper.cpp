#include "serving/reaper.h"

#include <malloc.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

namespace kerf::serving {

// Outlives the Reaper by the last model that was shared.
struct Reaper::State {
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::unique_ptr<const ServedModel>> dead;
  bool ended = false;

  void bury(std::unique_ptr<const ServedModel> model) {
    const std::lock_guard lock(mutex);
    if (ended) return;  // freed by the caller, after the lock
    dead.push_back(std::move(model));
    wake.notify_one();
  }

  void run() {
    // Calls that have just ended may hold plans of the model, and so its weights, a little longer.
    constexpr std::chrono::seconds kLater{2};
    bool again = false;
    std::unique_lock lock(mutex);
    while (!ended) {
      const auto woken = [this] { return ended || !dead.empty(); };
      if (again) {
        wake.wait_for(lock, kLater, woken);
      } else {
        wake.wait(lock, woken);
      }
      again = !dead.empty();
      std::vector<std::unique_ptr<const ServedModel>> models = std::exchange(dead, {});
      lock.unlock();
      models.clear();
      ::malloc_trim(0);
      lock.lock();
    }
  }
};

Reaper::Reaper() : state_(std::make_shared<State>()), thread_([state = state_] { state->run(); }) {}

Reaper::~Reaper() {
  std::vector<std::unique_ptr<const ServedModel>> models;
  {
    const std::lock_guard lock(state_->mutex);
    state_->ended = true;
    models.swap(state_->dead);
    state_->wake.notify_one();
  }
  thread_.join();
}

std::shared_ptr<const ServedModel> Reaper::share(std::unique_ptr<const ServedModel> model) {
  return {model.release(), [state = state_](const ServedModel* last) {
            state->bury(std::unique_ptr<const ServedModel>(last));
          }};
}

}  // namespace kerf::serving
