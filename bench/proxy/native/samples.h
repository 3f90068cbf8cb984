// Times that were measured, and their quantiles.
#pragma once
#include "common.h"

/** In tenths of a microsecond. */
struct samples {
  uint32_t *values;
  size_t count, room;
};

static inline void add_sample(struct samples *samples, int64_t ns) {
  if (samples->count == samples->room)
    samples->values = realloc(samples->values, sizeof *samples->values * (samples->room = samples->room * 2 + 4096));
  samples->values[samples->count++] = ns < 0 ? 0 : ns / 100 > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / 100);
}

static inline int by_size(const void *a, const void *b) {
  uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;
  return (one > other) - (one < other);
}

/** As JSON, in microseconds; null where there is none. */
static inline void print_samples(const char *name, struct samples *samples) {
  if (samples->count == 0) {
    printf("\"%s\":null", name);
    return;
  }
  qsort(samples->values, samples->count, sizeof *samples->values, by_size);
  double p50 = samples->values[samples->count / 2] / 10.0;
  double p99 = samples->values[samples->count * 99 / 100] / 10.0;
  printf("\"%s\":{\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name, p50, p99,
         samples->values[samples->count - 1] / 10.0);
}
