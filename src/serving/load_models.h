#pragma once

#include <functional>
#include <memory>
#include <span>

#include "kerf/error.h"
#include "kerf/extensions.h"
#include "serving/limits.h"
#include "serving/model_spec.h"
#include "serving/served_model.h"

namespace kerf::serving {

struct LoadSettings {
  Limits limits;
  Extensions extensions;  // for layers that are not Keras' own
  unsigned threads = 0;   // files read at once; 0 = one per core, or in the background one
  // The threads give way to all others: what is being served goes on as before.
  bool in_background = false;
  // Called as files are done, one call at a time: the model, and the seconds it took.
  std::function<void(const ServedModel&, double)> loaded;
  // The share of all that is done, 0 to 1. May be called from several threads, one at a time.
  std::function<void(double)> progress;
};

struct LoadJob {
  ModelFile file;
  ModelOptions options;
  // What it takes the place of, if anything: the plans that calls of it use are made for the new
  // one too, so that no call waits for them.
  std::shared_ptr<const ServedModel> old;
  std::function<void(std::unique_ptr<const ServedModel>)> done;  // one of the two is called, by
  std::function<void(const Error&)> failed;                      // any thread, one at a time
};

// Does the jobs, several at once, each with what a plain call of one sample needs compiled. Returns
// when all are done.
void load_models(std::span<const LoadJob> jobs, const LoadSettings& settings);

}  // namespace kerf::serving
