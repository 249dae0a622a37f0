/* filter_meter: how much has passed, how fast, how long it will take. See filter.h. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "stream/filter.h"

/* The rate is that of the last ticks: at two a second, five seconds. Short enough to notice a stall, long enough to be calm. */
#define METER_MARKS 11

typedef struct MeterMark {
  int64_t ms;
  uint64_t bytes;
} MeterMark;

typedef struct MeterFilter {
  Stage stage;
  int64_t size; /* as given; -1: ask the source */
  MeterTold told;
  void *arg;
  uint64_t bytes;
  MeterMark marks[METER_MARKS]; /* a ring; the mark of the beginning is the first */
  size_t nmarks;                /* how many were ever set */
  int64_t begun_ms;
  bool ended;
} MeterFilter;

static void meter_mark(MeterFilter *filter, int64_t now) {
  filter->marks[filter->nmarks++ % METER_MARKS] = (MeterMark){now, filter->bytes};
}

/* The time starts with the first tick or byte: a stage is made some time before its pipe runs. */
static void meter_begin(MeterFilter *filter) {
  if (filter->nmarks > 0) return;
  filter->begun_ms = clock_mono_ms();
  meter_mark(filter, filter->begun_ms);
}

static double meter_rate(const MeterFilter *filter, int64_t now) {
  const MeterMark *from = &filter->marks[filter->nmarks < METER_MARKS ? 0 : filter->nmarks % METER_MARKS];
  int64_t ms = now - from->ms;
  return ms > 0 ? (double)(filter->bytes - from->bytes) * 1000.0 / (double)ms : 0;
}

/* -1: no total, nothing moves, or more has come than was announced. */
static int64_t meter_eta(const MeterSeen *seen) {
  if (seen->total < 0 || seen->rate < 1 || seen->bytes > (uint64_t)seen->total) return -1;
  return (int64_t)((double)((uint64_t)seen->total - seen->bytes) * 1000.0 / seen->rate);
}

static void meter_tell(MeterFilter *filter, bool end) {
  int64_t now = clock_mono_ms();
  MeterSeen seen = {.bytes = filter->bytes, .ms = now - filter->begun_ms, .rate = meter_rate(filter, now), .end = end};
  seen.total = filter->size >= 0 ? filter->size : stage_expected(&filter->stage);
  seen.eta_ms = end ? 0 : meter_eta(&seen);
  if (!end) meter_mark(filter, now);
  if (filter->told != NULL) filter->told(filter->arg, &filter->stage, &seen);
}

static bool meter_work(Stage *stage, StageJob *job) {
  MeterFilter *filter = (MeterFilter *)stage;
  meter_begin(filter);
  if (job->in != NULL) {
    filter->bytes += job->in->len;
    job->at = job->in->len;
    job->out[job->nout++] = chunk_ref(job->in);
  } else if (!filter->ended) {
    filter->ended = true;
    meter_tell(filter, true);
  }
  return true;
}

static void meter_tick(Stage *stage) {
  MeterFilter *filter = (MeterFilter *)stage;
  if (filter->ended) return; /* the stages behind it may have more to do */
  meter_begin(filter);
  meter_tell(filter, false);
}

static const StageClass meter_class = {.kind = "meter", .work = meter_work, .passes = true, .quick = true, .tick = meter_tick};

Stage *filter_meter(int64_t size, MeterTold told, void *arg) {
  MeterFilter *filter = mem_alloc(sizeof *filter);
  filter->size = size;
  filter->told = told;
  filter->arg = arg;
  stage_init(&filter->stage, &meter_class, NULL);
  return &filter->stage;
}
