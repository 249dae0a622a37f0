/* stage: what every stage shares. See stage.h; the answers are in pipe.c. */
#include "stream/stage.h"

#include <stdlib.h>

#include "base/buf.h"
#include "stream/end.h"

void stage_init(Stage *stage, const StageClass *cls, const char *name) {
  stage->cls = cls;
  stage->size = -1;
  stage->name = mem_strdup(name);
}

void stage_free(Stage *stage) {
  if (stage == NULL) return;
  free(stage->name);
  free(stage->label);
  free(stage->found);
  free(stage->said);
  free(stage->settled_by);
  stage->settled_by = NULL;
  stage->name = stage->label = stage->found = stage->said = NULL;
  if (stage->cls->free != NULL)
    stage->cls->free(stage);
  else
    free(stage);
}

const char *stage_name(const Stage *stage) { return stage->name != NULL ? stage->name : stage->cls->kind; }

void end_lines_done(Stage *stage) {
  if (stage->cls->lines_done != NULL) stage->cls->lines_done(stage);
}
