/* What a plug-in is to kerf: a shared library that says what layers of classes of its own compute.
 * Plain C, so that a plug-in may be built by any compiler. It does not compute itself: it appends
 * operations, from which kerf knows the shapes, the weights to expect, where the layer can be cut,
 * and how to run it on any number of threads.
 *
 *   #include <kerf/plugin.h>
 *
 *   static void build(const kerf_host* host, kerf_layer* layer) {
 *     kerf_tensor x = host->input(layer, 0);
 *     host->output(layer, host->expression(layer, "x * sigmoid(1.702 * x)", &x, 1));
 *   }
 *   static const kerf_layer_class classes[] = {{"my>QuickGelu", build}};
 *   static const kerf_plugin plugin = {KERF_PLUGIN_VERSION, sizeof(kerf_plugin), "gelu", classes,
 * 1}; KERF_PLUGIN_EXPORT const kerf_plugin* kerf_plugin_entry(void) { return &plugin; }
 */
#ifndef KERF_PLUGIN_H
#define KERF_PLUGIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes only if a plug-in that was built before would not work any more. What is new is added to
 * the end of the structures, whose size says what they have. */
#define KERF_PLUGIN_VERSION 1

#if defined(__GNUC__)
#define KERF_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define KERF_PLUGIN_EXPORT
#endif

/* One use of a layer, while build() runs; not to be kept. */
typedef struct kerf_layer kerf_layer;
/* A tensor of it; negative after an error. */
typedef int32_t kerf_tensor;

/* The size of a dimension that only a request knows, as that of the batch. */
#define KERF_UNKNOWN (-1)

/* What kerf offers to build(). After the first error of a layer every further call of it does
 * nothing and returns a negative number; kerf reports that error, so nobody has to check. */
typedef struct kerf_host {
  uint32_t version; /* KERF_PLUGIN_VERSION */
  uint32_t size;    /* sizeof(kerf_host) as kerf was built */

  /* The layer's configuration as JSON, in UTF-8. Lives as long as the call of build(). */
  const char* (*config)(kerf_layer* layer);
  /* The tensors that the layer is called with, in the order of the file. */
  int32_t (*input_count)(kerf_layer* layer);
  kerf_tensor (*input)(kerf_layer* layer, int32_t index);
  int32_t (*rank)(kerf_layer* layer, kerf_tensor tensor);
  /* The size of an axis, or KERF_UNKNOWN. */
  int64_t (*dimension)(kerf_layer* layer, kerf_tensor tensor, int32_t axis);

  /* A weight of the layer, by the name that it has below the layer in the file; files without
   * names have weights in the order in which they are asked for. float32. */
  kerf_tensor (*weight)(kerf_layer* layer, const char* name, const int64_t* shape, int32_t rank);
  /* Numbers that the plug-in knows: a copy of shape[0] * ... values, row-major. */
  kerf_tensor (*constant)(kerf_layer* layer, const float* values, const int64_t* shape,
                          int32_t rank);

  /* An expression as aliases have it, over `count` tensors that it calls x, y, z, u, v, w, and over
   * the layer's configuration by its keys. docs/custom-layers.md says what it may hold. */
  kerf_tensor (*expression)(kerf_layer* layer, const char* text, const kerf_tensor* tensors,
                            int32_t count);

  /* The layer's next output. */
  void (*output)(kerf_layer* layer, kerf_tensor tensor);
  /* Refuses the layer, for a configuration that the plug-in does not know, say. */
  void (*fail)(kerf_layer* layer, const char* message);
} kerf_host;

typedef struct kerf_layer_class {
  /* As the file calls it: "Package>Name", or "Name". */
  const char* name;
  /* Says what the layer computes. Called when a model is loaded and for every cut, by any thread,
   * several at once; it must do the same each time and must not throw. */
  void (*build)(const kerf_host* host, kerf_layer* layer);
} kerf_layer_class;

typedef struct kerf_plugin {
  uint32_t version; /* KERF_PLUGIN_VERSION */
  uint32_t size;    /* sizeof(kerf_plugin) as the plug-in was built */
  const char* name; /* for messages */
  const kerf_layer_class* classes;
  uint32_t class_count;
} kerf_plugin;

/* The one function that kerf looks up. What it returns has to live as long as the library. */
KERF_PLUGIN_EXPORT const kerf_plugin* kerf_plugin_entry(void);

#ifdef __cplusplus
}
#endif
#endif /* KERF_PLUGIN_H */
