/* What ssh -G may print, over any bytes: the first line is the host, the rest the text. What is read must have its needed parts.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net/ssh_config.h"
#include "net/ssh_expand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char head[] = "host db1\nhostname db1.example\nuser ops\nport 22\n";
  char *text = malloc(size + 1);
  memcpy(text, data, size);
  text[size] = '\0';
  char *newline = memchr(text, '\n', size);
  size_t used = newline != NULL ? (size_t)(newline + 1 - text) : 0;
  if (newline != NULL) *newline = '\0';
  SshConfig config;
  Err err = {0};
  Buf all = {0}, out = {0};
  bool named = newline != NULL && ssh_config_host_ok(text, NULL);
  if (named && (strchr(text, '$') != NULL || text[0] == '-')) abort();
  /* The parts that are needed come first and so count, or last. */
  if (size % 2 == 0) buf_add_str(&all, head);
  buf_add(&all, text + used, size - used);
  if (ssh_config_parse(&config, newline != NULL ? text : "db1", buf_str(&all), all.len, &err)) {
    if (config.hostname == NULL || config.user == NULL || config.port <= 0 || config.jumps == NULL || err.code != ERR_NONE)
      abort();
    ssh_expand(&config, text, SSH_EXPAND_FILE, true, &out, NULL);
  } else if (err.code != ERR_SSH_CONNECT || config.all != NULL) {
    abort();
  }
  ssh_config_fini(&config);
  err_fini(&err);
  buf_fini(&all);
  buf_fini(&out);
  free(text);
  return 0;
}
