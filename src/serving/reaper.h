#pragma once

#include <memory>
#include <thread>

#include "serving/served_model.h"

namespace kerf::serving {

// Frees models that nobody uses any more, on a thread of its own, and gives their memory back to
// the system: that takes milliseconds that no request should wait for. Any thread may call.
class Reaper {
 public:
  Reaper();
  ~Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;

  // The model, shared, to be freed here when its last user lets go; there, once the Reaper is gone.
  std::shared_ptr<const ServedModel> share(std::unique_ptr<const ServedModel> model);

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::thread thread_;
};

}  // namespace kerf::serving
