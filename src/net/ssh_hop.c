/* ssh_hop: see ssh_hop.h. */
#include "net/ssh_hop.h"

#include <stdlib.h>
#include <string.h>

#include "net/ssh_limits.h"

#define HOP_STUCK_MS 300
/* Once a session is stuck, so many wait for another one at most; with each further that is stuck half as many. */
#define HOP_MOST_WAITING 16

struct SshHop {
  SshHop *next;
  Buf key; /* its settings */
  char *host, *config_file;
  SshOptions options;
  SshConfig config;
  SshOpen how;
  int hops;
  SshSession *session;
  bool up, dead;
  SshHopUser *users;
  Deferred deferred;    /* tells that it is up */
  bool telling, closed; /* closed: nobody is left */
};

static SshHop *hop_list;

/* ---- life ---- */

static void hop_free(SshHop *hop) {
  ssh_config_fini(&hop->config);
  buf_fini(&hop->key);
  free(hop->host);
  free(hop->config_file);
  free(hop);
}

static void hop_close(SshHop *hop) {
  SshHop **at = &hop_list;
  while (*at != hop)
    at = &(*at)->next;
  *at = hop->next;
  hop->closed = true;
  ssh_transport_lib.close(hop->session);
  if (!hop->deferred.queued && !hop->telling) hop_free(hop);
}

static SshHopUser *hop_untold(const SshHop *hop) {
  SshHopUser *user = hop->users;
  while (user != NULL && user->told)
    user = user->next;
  return user;
}

/* Each may leave, and so end it, while it is told. */
static void on_deferred(Deferred *deferred) {
  SshHop *hop = (SshHop *)((char *)deferred - offsetof(SshHop, deferred));
  hop->telling = true;
  for (SshHopUser *user; !hop->closed && !hop->dead && (user = hop_untold(hop)) != NULL;) {
    user->told = true;
    user->up(user, hop->session);
  }
  hop->telling = false;
  if (hop->closed) hop_free(hop);
}

static void hop_tell_soon(SshHop *hop) {
  hop->deferred.fn = on_deferred;
  loop_defer(hop->how.loop, &hop->deferred);
}

static void on_hop_up(void *arg, SshSession *session) {
  SshHop *hop = arg;
  (void)session;
  hop->up = true;
  hop_tell_soon(hop);
}

static void on_hop_down(void *arg, SshSession *session, SshDown why, Err *err) {
  SshHop *hop = arg;
  (void)session;
  hop->dead = true;
  /* Being told only marks a user's session: nobody leaves meanwhile. */
  for (SshHopUser *user = hop->users; user != NULL; user = user->next)
    user->down(user, why, err);
  err_fini(err);
}

static void on_hop_more_time(void *arg, int64_t ms) {
  SshHop *hop = arg;
  for (SshHopUser *user = hop->users; user != NULL; user = user->next)
    user->more_time(user, ms);
}

/* ---- which one ---- */

static void hop_key(const SshOpen *how, const SshConfig *config, int hops, Buf *key) {
  const SshOptions *options = how->options;
  buf_printf(key, "%p %p %d %d %s\n", (void *)how->loop, options->self, hops, (int)options->transport,
             options->config != NULL ? options->config : "");
  for (char **jump = config->jumps; jump != NULL && *jump != NULL; jump++)
    buf_printf(key, "%s,", *jump);
  for (char **line = config->all; line != NULL && *line != NULL; line++)
    buf_printf(key, "\n%s", *line);
}

static bool hop_is(const SshHop *hop, const Buf *key) {
  return !hop->dead && hop->key.len == key->len && memcmp(hop->key.data, key->data, key->len) == 0;
}

static bool hop_stuck(const SshHop *hop) { return hop->up && ssh_channels_stuck(hop->session, HOP_STUCK_MS); }

static int hop_waiting(const SshHop *hop) {
  int count = 0;
  for (const SshHopUser *user = hop->users; user != NULL; user = user->next)
    count += user->waiting;
  return count;
}

static SshHop *hop_find(const Buf *key) {
  int stuck = 0;
  for (const SshHop *hop = hop_list; hop != NULL; hop = hop->next)
    if (hop_is(hop, key) && hop_stuck(hop)) stuck++;
  int most = stuck < 5 ? HOP_MOST_WAITING >> stuck : 1;
  for (SshHop *hop = hop_list; hop != NULL; hop = hop->next)
    if (hop_is(hop, key) && !hop_stuck(hop) && (stuck == 0 || hop_waiting(hop) < most)) return hop;
  return NULL;
}

static SshHop *hop_new(const SshOpen *how, SshConfig *config, int hops, Buf *key) {
  SshHop *hop = mem_alloc(sizeof *hop);
  hop->key = *key;
  hop->hops = hops;
  hop->config = *config;
  memset(config, 0, sizeof *config);
  hop->options = *how->options;
  hop->options.host = hop->host = mem_strdup(how->options->host);
  hop->options.config = hop->config_file = mem_strdup(how->options->config);
  hop->how = (SshOpen){.loop = how->loop,
                       .options = &hop->options,
                       .config = &hop->config,
                       .timeout_ms = how->timeout_ms,
                       .up = on_hop_up,
                       .down = on_hop_down,
                       .more_time = on_hop_more_time,
                       .arg = hop};
  hop->next = hop_list;
  hop_list = hop;
  hop->session = ssh_session_open_hop(&hop->how, hops);
  return hop;
}

/* ---- users ---- */

static void hop_enter(SshHop *hop, SshHopUser *user) {
  SshHopUser **at = &hop->users;
  while (*at != NULL)
    at = &(*at)->next;
  *at = user;
  user->next = NULL;
  user->hop = hop;
  user->told = false;
  user->waiting = true;
  if (hop->up) hop_tell_soon(hop);
}

void ssh_hop_join(SshHopUser *user, const SshOpen *how, SshConfig *config, int hops) {
  Buf key = {0};
  hop_key(how, config, hops, &key);
  SshHop *hop = hop_find(&key);
  if (hop != NULL) {
    buf_fini(&key);
    ssh_config_fini(config);
  } else {
    hop = hop_new(how, config, hops, &key);
  }
  hop_enter(hop, user);
}

bool ssh_hop_stuck(const SshHopUser *user) { return user->hop != NULL && !user->hop->dead && hop_stuck(user->hop); }

static bool hop_copy_config(const SshConfig *from, SshConfig *config) {
  Buf text = {0};
  Err err = {0};
  for (char **line = from->all; line != NULL && *line != NULL; line++)
    buf_printf(&text, "%s\n", *line);
  bool good = ssh_config_parse(config, from->host, buf_str(&text), text.len, &err);
  buf_fini(&text);
  err_fini(&err);
  if (!good) return false;
  ssh_list_free(config->jumps); /* may have been others than its own */
  config->jumps = mem_alloc(sizeof *config->jumps);
  for (char **jump = from->jumps; jump != NULL && *jump != NULL; jump++)
    proc_list_add(&config->jumps, *jump);
  return true;
}

void ssh_hop_change(SshHopUser *user) {
  SshHop *from = user->hop, *to = hop_find(&from->key);
  if (to == NULL) {
    SshConfig config = {0};
    Buf key = {0};
    if (!hop_copy_config(&from->config, &config)) return;
    buf_add(&key, from->key.data, from->key.len);
    to = hop_new(&from->how, &config, from->hops, &key);
  }
  ssh_hop_leave(user);
  hop_enter(to, user);
}

void ssh_hop_leave(SshHopUser *user) {
  SshHop *hop = user->hop;
  if (hop == NULL) return;
  SshHopUser **at = &hop->users;
  while (*at != user)
    at = &(*at)->next;
  *at = user->next;
  user->hop = NULL;
  if (hop->users == NULL) hop_close(hop);
}
