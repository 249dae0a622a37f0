/* ssh_share: see ssh_share.h. */
#include "net/ssh_share.h"

#include <stdlib.h>
#include <string.h>

#include "loop/proc.h"
#include "net/ssh_config.h"
#include "net/ssh_files.h"

#define SHARE_NAME '\1'       /* stands for the name in a group's answer */
#define SHARE_MOST_GROUPS 512 /* of one configuration; then all begins anew */
#define SHARE_SURVEY_MS 5000

/* One of the two hosts that are really asked about. */
typedef struct ShareSlot {
  char *name; /* NULL: free */
  bool done;
  Buf text;
} ShareSlot;

typedef struct ShareGroup {
  struct ShareGroup *next;
  struct SharePool *pool;
  Buf key;
  ShareSlot slots[2];
  bool apart; /* nothing is shared */
  Buf answer; /* with SHARE_NAME for the name; empty: not yet */
  SshSharer *waiters;
} ShareGroup;

typedef enum ShareSurvey { SURVEY_NOT_MADE, SURVEY_RUNS, SURVEY_GOOD, SURVEY_BAD } ShareSurvey;

/* What is known of one configuration. A stale one lives until the last has left it. */
typedef struct SharePool {
  struct SharePool *next;
  char *file; /* -F; NULL: the user's */
  SshFiles *files;
  ShareGroup *groups;
  int ngroups, users;
  bool stale;
  ShareSurvey survey;
  Op *surveying;
} SharePool;

static SharePool *share_pools;

/* ---- life ---- */

static void share_group_free(ShareGroup *group) {
  for (int i = 0; i < 2; i++) {
    free(group->slots[i].name);
    buf_fini(&group->slots[i].text);
  }
  buf_fini(&group->key);
  buf_fini(&group->answer);
  free(group);
}

static void share_pool_free(SharePool *pool) {
  for (SharePool **at = &share_pools; *at != NULL; at = &(*at)->next) {
    if (*at != pool) continue;
    *at = pool->next;
    break;
  }
  for (ShareGroup *group = pool->groups, *next; group != NULL; group = next) {
    next = group->next;
    share_group_free(group);
  }
  ssh_files_free(pool->files);
  free(pool->file);
  free(pool);
}

static bool share_is_file(const SharePool *pool, const char *file) {
  return pool->file == NULL || file == NULL ? pool->file == file : strcmp(pool->file, file) == 0;
}

static void share_make_stale(SharePool *pool) {
  pool->stale = true;
  if (pool->users == 0 && pool->surveying == NULL) share_pool_free(pool);
}

/* The pool of a configuration as it is now. */
static SharePool *share_pool_of(const char *file) {
  for (SharePool *pool = share_pools, *next; pool != NULL; pool = next) {
    next = pool->next;
    if (pool->stale || !share_is_file(pool, file)) continue;
    if (pool->ngroups < SHARE_MOST_GROUPS && ssh_files_current(pool->files)) return pool;
    share_make_stale(pool);
  }
  SharePool *pool = mem_alloc(sizeof *pool);
  pool->file = mem_strdup(file);
  pool->files = ssh_files_read(file);
  pool->next = share_pools;
  share_pools = pool;
  return pool;
}

/* ---- names ---- */

/* [prefix]name[suffix] of "name", "user@name", "ssh://[user@]name[:port]". Only lower-case names that are no address: ssh writes
 * others in another form than they were given in. False: it is another. */
static bool share_split(const char *host, size_t *at, size_t *len) {
  bool uri = strncmp(host, "ssh://", 6) == 0;
  const char *sign = strrchr(host, '@');
  *at = sign != NULL ? (size_t)(sign + 1 - host) : uri ? 6 : 0;
  const char *name = host + *at;
  *len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");
  if (*len == 0 || name[0] < 'a' || name[*len - 1] == '.') return false;
  return name[*len] == '\0' || (uri && (name[*len] == ':' || name[*len] == '/'));
}

static char *share_name(const char *host, size_t at, size_t len) {
  Buf name = {0};
  buf_add(&name, host + at, len);
  return buf_take(&name);
}

static void share_key(const SharePool *pool, const char *host, size_t at, size_t len, const char *name, Buf *key) {
  buf_printf(key, "%zu\n%.*s\n%s\n", len, (int)at, host, host + at + len);
  ssh_files_vector(pool->files, name, key);
}

static void share_place(SshSharer *self) {
  size_t at, len;
  self->placed = true;
  if (!share_split(self->host, &at, &len)) return;
  SharePool *pool = share_pool_of(self->file);
  if (!ssh_files_plain(pool->files) || pool->survey == SURVEY_BAD) return;
  Buf key = {0};
  char *name = share_name(self->host, at, len);
  share_key(pool, self->host, at, len, name, &key);
  free(name);
  ShareGroup *group = pool->groups;
  while (group != NULL && (group->key.len != key.len || memcmp(group->key.data, key.data, key.len) != 0))
    group = group->next;
  if (group == NULL) {
    group = mem_alloc(sizeof *group);
    group->pool = pool;
    group->key = key;
    group->next = pool->groups;
    pool->groups = group;
    pool->ngroups++;
  } else {
    buf_fini(&key);
  }
  self->group = group;
  pool->users++;
}

/* ---- the answer of a group ---- */

/* The one text that with the one name is the one answer, and with the other name the other. False: there is none. */
static bool share_unite(const Buf *a, const Buf *b, const char *name_a, const char *name_b, Buf *answer) {
  size_t len = strlen(name_a);
  if (a->len != b->len) return false;
  for (size_t i = 0; i < a->len;) {
    if (a->len - i >= len && memcmp(a->data + i, name_a, len) == 0 && memcmp(b->data + i, name_b, len) == 0) {
      buf_add_char(answer, SHARE_NAME);
      i += len;
    } else if (a->data[i] == b->data[i] && a->data[i] != SHARE_NAME) {
      buf_add_char(answer, a->data[i++]);
    } else {
      return false;
    }
  }
  return answer->len > 0;
}

/* A host's name made of theirs must be a name, too: an address (fe80::NAME, 0xNAME) is rewritten by ssh. */
static bool share_names_only(const char *answer) {
  const char *line = strncmp(answer, "hostname ", 9) == 0 ? answer : strstr(answer, "\nhostname ");
  if (line == NULL) return false;
  line = strchr(line, ' ') + 1;
  size_t len = strcspn(line, "\n");
  if (memchr(line, SHARE_NAME, len) == NULL) return true;
  if (*line != SHARE_NAME && (*line < 'a' || *line > 'z')) return false;
  return strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789._-\1") == len;
}

static void share_decide(ShareGroup *group) {
  ShareSlot *one = &group->slots[0], *two = &group->slots[1];
  if (group->apart || group->answer.len > 0 || !one->done || !two->done) return;
  if (!share_unite(&one->text, &two->text, one->name, two->name, &group->answer) || !share_names_only(buf_str(&group->answer))) {
    buf_clear(&group->answer);
    group->apart = true;
  }
}

static void share_put_in(const ShareGroup *group, const char *name, size_t len, Buf *text) {
  const Buf *answer = &group->answer;
  for (size_t i = 0; i < answer->len; i++) {
    if (answer->data[i] == SHARE_NAME)
      buf_add(text, name, len);
    else
      buf_add_char(text, answer->data[i]);
  }
}

/* ---- who waits ---- */

static void share_wake(ShareGroup *group) {
  SshSharer *waiters = group->waiters;
  group->waiters = NULL;
  while (waiters != NULL) {
    SshSharer *one = waiters;
    waiters = one->next;
    one->next = NULL;
    one->waiting = false;
    one->go_on(one);
  }
}

static void on_surveyed(Op *op, void *arg) {
  SharePool *pool = arg;
  bool good =
      op->err.code == ERR_NONE && ssh_files_are(pool->files, buf_str(&proc_result(op)->err)) && ssh_files_current(pool->files);
  pool->surveying = NULL;
  pool->survey = good ? SURVEY_GOOD : SURVEY_BAD;
  op_unref(op);
  pool->users++; /* it stays while they are told */
  for (ShareGroup *group = pool->groups; group != NULL; group = group->next)
    share_wake(group);
  pool->users--;
  if (pool->stale) share_make_stale(pool);
}

/* Which files does ssh itself read? */
static void share_begin_survey(SharePool *pool, Loop *loop, const char *host) {
  ProcSpec spec = {0};
  static const char *const words[] = {"ssh", "-vGT"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    proc_list_add(&spec.argv, words[i]);
  if (pool->file != NULL) proc_list_add(&spec.argv, "-F");
  if (pool->file != NULL) proc_list_add(&spec.argv, pool->file);
  ssh_config_argv(&spec.argv, host);
  spec.accept = mem_alloc(2 * sizeof *spec.accept);
  spec.accept[1] = -1;
  pool->survey = SURVEY_RUNS;
  pool->surveying = proc_start(loop, &spec, SHARE_SURVEY_MS, "ssh -vG");
  op_on_settled(pool->surveying, on_surveyed, pool);
}

static SshShareTurn share_wait(SshSharer *self, Loop *loop) {
  ShareGroup *group = self->group;
  if (group->pool->survey == SURVEY_NOT_MADE) share_begin_survey(group->pool, loop, self->host);
  SshSharer **at = &group->waiters; /* in the order they came */
  while (*at != NULL)
    at = &(*at)->next;
  *at = self;
  self->waiting = true;
  return SSH_SHARE_WAIT;
}

/* ---- turns ---- */

static SshShareTurn share_probe(SshSharer *self, int slot, char *name) {
  self->slot = slot + 1;
  self->group->slots[slot].name = name;
  return SSH_SHARE_RUN;
}

SshShareTurn ssh_share_turn(SshSharer *self, Loop *loop, Buf *text) {
  size_t at, len;
  if (!self->placed) share_place(self);
  ShareGroup *group = self->group;
  if (group == NULL || group->apart || group->pool->survey == SURVEY_BAD) return SSH_SHARE_RUN;
  share_decide(group);
  if (group->apart) return SSH_SHARE_RUN;
  bool good = group->pool->survey == SURVEY_GOOD;
  share_split(self->host, &at, &len);
  if (good && group->answer.len > 0) {
    share_put_in(group, self->host + at, len, text);
    return SSH_SHARE_KNOWN;
  }
  char *name = share_name(self->host, at, len);
  ShareSlot *same = NULL, *spare = NULL;
  for (int i = 1; i >= 0; i--) {
    ShareSlot *slot = &group->slots[i];
    if (slot->name == NULL)
      spare = slot;
    else if (strcmp(slot->name, name) == 0)
      same = slot;
  }
  if (same == NULL && spare != NULL) return share_probe(self, (int)(spare - group->slots), name);
  free(name);
  if (same == NULL || !same->done || !good) return share_wait(self, loop);
  buf_add(text, same->text.data, same->text.len);
  return SSH_SHARE_KNOWN;
}

void ssh_share_tell(SshSharer *self, const Buf *text, bool stopped) {
  ShareGroup *group = self->group;
  if (group == NULL || self->slot == 0) return;
  ShareSlot *slot = &group->slots[self->slot - 1];
  self->slot = 0;
  if (text != NULL && ssh_files_current(group->pool->files)) {
    slot->done = true;
    buf_add(&slot->text, text->data, text->len);
  } else {
    free(slot->name);
    slot->name = NULL;
    if (!stopped) group->apart = true;
  }
  share_wake(group);
}

void ssh_share_leave(SshSharer *self) {
  ShareGroup *group = self->group;
  if (group == NULL) return;
  SharePool *pool = group->pool;
  for (SshSharer **at = &group->waiters; self->waiting && *at != NULL; at = &(*at)->next) {
    if (*at != self) continue;
    *at = self->next;
    break;
  }
  self->waiting = false;
  ssh_share_tell(self, NULL, true);
  self->group = NULL;
  pool->users--;
  if (pool->stale) share_make_stale(pool);
}
