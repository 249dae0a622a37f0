/* view_format: durations, clocks, errors and the last line as texts. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/view_private.h"

void view_format_clock(int64_t ms, char out[VIEW_SPAN_SIZE]) {
  int64_t s = ms > 0 ? ms / 1000 : 0;
  if (s < 3600)
    snprintf(out, VIEW_SPAN_SIZE, "%d:%02d", (int)(s / 60), (int)(s % 60));
  else
    snprintf(out, VIEW_SPAN_SIZE, "%" PRId64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
}

void view_format_budget(int64_t ms, char out[VIEW_SPAN_SIZE]) {
  static const struct {
    const char *unit;
    int64_t ms;
  } units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
  size_t len = 0;
  out[0] = '\0';
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    int64_t count = ms / units[i].ms;
    if (count <= 0 || len >= VIEW_SPAN_SIZE) continue;
    len += (size_t)snprintf(out + len, VIEW_SPAN_SIZE - len, "%" PRId64 "%s", count, units[i].unit);
    ms %= units[i].ms;
  }
  if (len == 0) snprintf(out, VIEW_SPAN_SIZE, "0s");
}

void view_add_capitals(Buf *out, const char *text) {
  for (; *text != '\0'; text++)
    buf_add_char(out, (char)toupper((unsigned char)*text));
}

void view_add_error(Buf *out, const json_t *error) {
  if (json_is_string(error)) {
    buf_add_str(out, json_string_value(error));
    return;
  }
  const char *message = fold_text(error, "message"), *sqlstate = fold_text(error, "sqlstate");
  const json_t *target = json_object_get(error, "target");
  Buf name = {0};
  fold_add_target(&name, target);
  if (message == NULL) message = fold_text(error, "kind");
  if (message == NULL) message = "failed";
  if (name.len > 0 && strstr(message, buf_str(&name)) == NULL) buf_printf(out, "%s: ", buf_str(&name));
  buf_add_str(out, message);
  if (sqlstate != NULL && sqlstate[0] != '\0' && strstr(message, sqlstate) == NULL) buf_printf(out, " (SQLSTATE %s)", sqlstate);
  buf_fini(&name);
}

static void view_add_part(Buf *out, const char *text) {
  if (text == NULL || text[0] == '\0') return;
  if (out->len > 0) buf_add_str(out, " · ");
  buf_add_str(out, text);
}

/* `next` is a text, or several: each with what it does in front, "go on: pgsh resume k7f2". */
static void view_add_next(Buf *out, const json_t *next) {
  view_add_part(out, json_string_value(next));
  for (size_t i = 0; i < json_array_size(next); i++)
    view_add_part(out, json_string_value(json_array_get(next, i)));
}

/* Does the message say the status in its own words? */
static bool view_names_status(const char *message, const char *status) {
  static const char *const words[][2] = {{"answer", "an answer"}, {"timeout", "timed out"}};
  if (strncasecmp(message, status, strlen(status)) == 0) return true;
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    if (strcmp(words[i][0], status) == 0 && strncasecmp(message, words[i][1], strlen(words[i][1])) == 0) return true;
  return false;
}

void view_add_ending(Buf *out, const json_t *ended, const char *run) {
  const char *status = fold_text(ended, "status"), *message = fold_text(ended, "message");
  const json_t *next = json_object_get(ended, "next");
  if (message == NULL) message = "";
  if (status == NULL) status = "ended";
  if (run == NULL && next == NULL && fold_integer(ended, "exit", 0) != 0 && message[0] != '\0') {
    buf_printf(out, "pgsh: %s", message);
    return;
  }
  Buf line = {0}, id = {0};
  bool long_message = strchr(message, '\n') != NULL;
  if (long_message) buf_printf(out, "pgsh: %s\n", message);
  if (long_message || !view_names_status(message, status)) view_add_part(&line, status);
  if (!long_message && message[0] != '\0') buf_printf(&line, "%s%s", line.len > 0 ? ": " : "", message);
  if (run != NULL) {
    buf_printf(&id, "run %s", run);
    view_add_part(&line, buf_str(&id));
  }
  view_add_next(&line, next);
  buf_add(out, buf_str(&line), line.len);
  buf_fini(&line);
  buf_fini(&id);
}
