/* ssh_hosts: see ssh_hosts.h.
 *
 * A line that cannot be read counts for nothing, as with ssh; it can only make a host less known. The exception would be
 * @revoked, where less is worse: but a key that cannot be read cannot be compared either. */
#include "net/ssh_hosts.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define HOSTS_FILE_BYTES ((size_t)64 << 20)
#define HOSTS_LINE_BYTES 65536
#define HOSTS_PATTERN_BYTES 1023 /* a longer one makes ssh ignore the line */
#define HOSTS_BLANKS " \t"
#define HOSTS_DIGEST 20 /* of SHA-1 */
#define HOSTS_BLOCK 64  /* what it works on */
#define HOSTS_PORT 22

typedef enum HostsMarker { HOSTS_PLAIN, HOSTS_REVOKED, HOSTS_AUTHORITY } HostsMarker;

typedef struct HostsLine {
  HostsMarker marker;
  char *names; /* patterns, or |1|salt|hash; not terminated */
  size_t names_len;
  unsigned char *hash; /* of |1|salt|hash: both, HOSTS_DIGEST bytes each; NULL: of another form */
  char *type;          /* terminated */
  unsigned char *blob;
  size_t len;
  const char *file; /* one of SshHosts' files */
  int number;
} HostsLine;

/* Which lines name a host: one name is looked up several times, and each hashed line costs a digest. */
typedef struct HostsMemo {
  struct HostsMemo *next;
  char *name;
  size_t *lines;
  size_t count;
} HostsMemo;

typedef struct HostsMemos {
  HostsMemo *first;
  int count;
} HostsMemos;

struct SshHosts {
  HostsLine *lines;
  size_t count, room;
  char **files; /* their names */
  size_t files_count;
  HostsMemos *memos;
  int refs;
};

#define HOSTS_MOST_MEMOS 256
#define HOSTS_MOST_KEPT 8

/* What was read is kept: many sessions look into the same files. */
typedef struct HostsKept {
  SshHosts *hosts; /* NULL: free */
  char **paths;    /* NULL-ended */
  FileMark *marks;
} HostsKept;

static HostsKept hosts_kept[HOSTS_MOST_KEPT];
static unsigned hosts_next_kept;

static void hosts_forget(HostsMemos *memos);

/* ---- reading ---- */

static unsigned char *hosts_decode(const char *text, size_t text_len, size_t *len) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t body = text_len;
  while (body > 0 && text_len - body < 2 && text[body - 1] == '=')
    body--;
  if (text_len == 0 || text_len % 4 != 0 || text_len > HOSTS_LINE_BYTES) return NULL;
  for (size_t i = 0; i < body; i++)
    if (text[i] == '\0' || strchr(alphabet, text[i]) == NULL) return NULL;
  unsigned char *bytes = mem_alloc(text_len / 4 * 3);
  int got = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)text_len);
  if (got <= 0) {
    free(bytes);
    return NULL;
  }
  *len = (size_t)got - (text_len - body);
  return bytes;
}

/* A key begins with its type's name, as a string of SSH: length in four bytes, text. */
static bool hosts_blob_is(const unsigned char *blob, size_t len, const char *type, size_t type_len) {
  if (len < 4 + type_len || type_len > HOSTS_PATTERN_BYTES) return false;
  size_t told = (size_t)blob[0] << 24 | (size_t)blob[1] << 16 | (size_t)blob[2] << 8 | blob[3];
  return told == type_len && memcmp(blob + 4, type, type_len) == 0;
}

/* The next word of a line: its length; 0: none. Moves `at` to it. */
static size_t hosts_word(const char **at, const char *end) {
  while (*at < end && strchr(HOSTS_BLANKS, **at) != NULL)
    ++*at;
  const char *from = *at;
  while (from < end && strchr(HOSTS_BLANKS, *from) == NULL)
    from++;
  return (size_t)(from - *at);
}

static bool hosts_marker(const char *word, size_t len, HostsMarker *marker) {
  bool revoked = len == 8 && memcmp(word, "@revoked", 8) == 0;
  *marker = revoked ? HOSTS_REVOKED : HOSTS_AUTHORITY;
  return revoked || (len == 15 && memcmp(word, "@cert-authority", 15) == 0);
}

static char *hosts_copy(const char *text, size_t len) {
  char *copy = mem_alloc(len + 1);
  memcpy(copy, text, len);
  return copy;
}

/* "|1|salt|hash" → both. */
static unsigned char *hosts_read_hash(const char *names, size_t len) {
  const char *end = names + len, *salt = names + 3;
  const char *bar = len > 3 && memcmp(names, "|1|", 3) == 0 ? memchr(salt, '|', (size_t)(end - salt)) : NULL;
  if (bar == NULL) return NULL;
  size_t key_len = 0, want_len = 0;
  unsigned char *key = hosts_decode(salt, (size_t)(bar - salt), &key_len), *both = NULL;
  unsigned char *want = hosts_decode(bar + 1, (size_t)(end - bar - 1), &want_len);
  if (key != NULL && want != NULL && key_len == HOSTS_DIGEST && want_len == HOSTS_DIGEST) {
    both = mem_alloc(2 * HOSTS_DIGEST);
    memcpy(both, key, HOSTS_DIGEST);
    memcpy(both + HOSTS_DIGEST, want, HOSTS_DIGEST);
  }
  free(key);
  free(want);
  return both;
}

/* [marker] names type key [comment]. False: nothing that counts. */
static bool hosts_read_line(const char *at, const char *end, HostsLine *line) {
  size_t len = hosts_word(&at, end);
  if (len == 0 || *at == '#') return false;
  if (*at == '@') {
    if (!hosts_marker(at, len, &line->marker)) return false;
    at += len;
    len = hosts_word(&at, end);
  }
  const char *names = at;
  size_t names_len = len;
  at += len;
  const char *type = (len = hosts_word(&at, end), at);
  size_t type_len = len;
  at += len;
  len = hosts_word(&at, end);
  if (names_len == 0 || *names == '@' || type_len == 0 || len == 0) return false;
  line->blob = hosts_decode(at, len, &line->len);
  if (line->blob == NULL) return false;
  if (!hosts_blob_is(line->blob, line->len, type, type_len)) {
    free(line->blob);
    return false;
  }
  line->names = hosts_copy(names, names_len);
  line->names_len = names_len;
  line->type = hosts_copy(type, type_len);
  line->hash = hosts_read_hash(names, names_len);
  return true;
}

static void hosts_add(SshHosts *hosts, const HostsLine *line) {
  if (hosts->count == hosts->room) {
    hosts->room = hosts->room > 0 ? 2 * hosts->room : 16;
    hosts->lines = mem_realloc(hosts->lines, hosts->room * sizeof *hosts->lines);
  }
  hosts->lines[hosts->count++] = *line;
}

static void hosts_read(SshHosts *hosts, const char *file, const char *text, size_t len) {
  hosts->files = mem_realloc(hosts->files, (hosts->files_count + 1) * sizeof *hosts->files);
  char *name = hosts->files[hosts->files_count++] = mem_strdup(file);
  const char *stop = text + len;
  for (int number = 1; text < stop; number++) {
    const char *newline = memchr(text, '\n', (size_t)(stop - text)), *end = newline != NULL ? newline : stop;
    const char *next = newline != NULL ? newline + 1 : stop;
    if (end > text && end[-1] == '\r') end--;
    HostsLine line = {.file = name, .number = number};
    if (end - text <= HOSTS_LINE_BYTES && memchr(text, '\0', (size_t)(end - text)) == NULL && hosts_read_line(text, end, &line))
      hosts_add(hosts, &line);
    text = next;
  }
}

static SshHosts *hosts_new(void) {
  SshHosts *hosts = mem_alloc(sizeof *hosts);
  hosts->memos = mem_alloc(sizeof *hosts->memos);
  hosts->refs = 1;
  return hosts;
}

SshHosts *ssh_hosts_parse(const char *text, size_t len) {
  SshHosts *hosts = hosts_new();
  hosts_read(hosts, "known_hosts", text, len);
  return hosts;
}

static size_t hosts_count_paths(char *const *paths) {
  size_t count = 0;
  while (paths != NULL && paths[count] != NULL)
    count++;
  return count;
}

static FileMark *hosts_mark(char *const *paths, size_t count) {
  FileMark *marks = mem_alloc((count + 1) * sizeof *marks);
  for (size_t i = 0; i < count; i++)
    file_mark(paths[i], &marks[i]);
  return marks;
}

static bool hosts_is_kept(const HostsKept *kept, char *const *paths, const FileMark *marks, size_t count) {
  bool same = kept->hosts != NULL && hosts_count_paths(kept->paths) == count;
  for (size_t i = 0; i < count && same; i++)
    same = strcmp(kept->paths[i], paths[i]) == 0 && file_mark_same(&kept->marks[i], &marks[i]);
  return same;
}

/* Takes over marks. */
static void hosts_keep(SshHosts *hosts, char *const *paths, FileMark *marks, size_t count) {
  HostsKept *kept = &hosts_kept[hosts_next_kept++ % HOSTS_MOST_KEPT];
  for (size_t i = 0; i < HOSTS_MOST_KEPT; i++) /* in the place of what it was */
    if (hosts_kept[i].hosts != NULL && hosts_count_paths(hosts_kept[i].paths) == count &&
        (count == 0 || strcmp(hosts_kept[i].paths[0], paths[0]) == 0))
      kept = &hosts_kept[i];
  ssh_hosts_free(kept->hosts);
  for (char **path = kept->paths; path != NULL && *path != NULL; path++)
    free(*path);
  free(kept->paths);
  free(kept->marks);
  kept->hosts = hosts;
  kept->marks = marks;
  kept->paths = mem_alloc((count + 1) * sizeof *kept->paths);
  for (size_t i = 0; i < count; i++)
    kept->paths[i] = mem_strdup(paths[i]);
  hosts->refs++;
}

SshHosts *ssh_hosts_load(char *const *files, Err *err) {
  size_t count = hosts_count_paths(files);
  FileMark *marks = hosts_mark(files, count);
  for (size_t i = 0; i < HOSTS_MOST_KEPT; i++) {
    if (!hosts_is_kept(&hosts_kept[i], files, marks, count)) continue;
    free(marks);
    hosts_kept[i].hosts->refs++;
    return hosts_kept[i].hosts;
  }
  SshHosts *hosts = hosts_new();
  bool whole = true;
  for (size_t i = 0; i < count; i++) {
    Buf text = {0};
    Err why = {0};
    if (file_read(files[i], HOSTS_FILE_BYTES, &text, &why))
      hosts_read(hosts, files[i], buf_str(&text), text.len);
    else if (why.errnum != ENOENT && why.errnum != ENOTDIR)
      whole = false;
    if (!whole && why.code != ERR_NONE && (err == NULL || err->code == ERR_NONE)) err_copy(err, &why);
    err_fini(&why);
    buf_fini(&text);
  }
  if (whole)
    hosts_keep(hosts, files, marks, count);
  else
    free(marks);
  return hosts;
}

void ssh_hosts_free(SshHosts *hosts) {
  if (hosts == NULL || --hosts->refs > 0) return;
  for (size_t i = 0; i < hosts->count; i++) {
    free(hosts->lines[i].names);
    free(hosts->lines[i].hash);
    free(hosts->lines[i].type);
    free(hosts->lines[i].blob);
  }
  for (size_t i = 0; i < hosts->files_count; i++)
    free(hosts->files[i]);
  hosts_forget(hosts->memos);
  free(hosts->memos);
  free(hosts->files);
  free(hosts->lines);
  free(hosts);
}

/* ---- names ---- */

/* One star is remembered: enough, since a later one can only need fewer characters. */
bool ssh_hosts_glob(const char *name, const char *pattern, size_t len) {
  const char *end = pattern + len, *star = NULL, *again = NULL;
  while (*name != '\0') {
    if (pattern < end && *pattern == '*') {
      star = ++pattern;
      again = name;
    } else if (pattern < end && (*pattern == '?' || tolower((unsigned char)*pattern) == tolower((unsigned char)*name))) {
      pattern++;
      name++;
    } else if (star != NULL) {
      pattern = star;
      name = ++again;
    } else {
      return false;
    }
  }
  while (pattern < end && *pattern == '*')
    pattern++;
  return pattern == end;
}

/* "a,b*,!c": one matches, and none that is negated. */
static bool hosts_list_has(const char *names, size_t len, const char *name) {
  const char *end = names + len;
  bool found = false;
  while (names < end) {
    bool negated = *names == '!';
    if (negated) names++;
    const char *comma = memchr(names, ',', (size_t)(end - names));
    size_t part = (size_t)((comma != NULL ? comma : end) - names);
    if (part >= HOSTS_PATTERN_BYTES) return false;
    if (ssh_hosts_glob(name, names, part)) {
      if (negated) return false;
      found = true;
    }
    names += part + (comma != NULL ? 1 : 0);
  }
  return found;
}

/* HMAC (RFC 2104) with SHA-1 of the name, keyed by the salt. Not by OpenSSL's HMAC(), which looks up its algorithm each time:
 * that takes longer than the digest, and there may be thousands of lines. */
static bool hosts_hash_is(EVP_MD_CTX *context, const EVP_MD *sha1, const unsigned char *hash, const char *name, size_t len) {
  unsigned char pads[2][HOSTS_BLOCK], digest[HOSTS_DIGEST];
  memset(pads[0], 0x36, HOSTS_BLOCK);
  memset(pads[1], 0x5c, HOSTS_BLOCK);
  for (size_t i = 0; i < HOSTS_DIGEST; i++) {
    pads[0][i] ^= hash[i];
    pads[1][i] ^= hash[i];
  }
  return EVP_DigestInit_ex2(context, sha1, NULL) == 1 && EVP_DigestUpdate(context, pads[0], HOSTS_BLOCK) == 1 &&
         EVP_DigestUpdate(context, name, len) == 1 && EVP_DigestFinal_ex(context, digest, NULL) == 1 &&
         EVP_DigestInit_ex2(context, sha1, NULL) == 1 && EVP_DigestUpdate(context, pads[1], HOSTS_BLOCK) == 1 &&
         EVP_DigestUpdate(context, digest, HOSTS_DIGEST) == 1 && EVP_DigestFinal_ex(context, digest, NULL) == 1 &&
         memcmp(digest, hash + HOSTS_DIGEST, HOSTS_DIGEST) == 0;
}

static void hosts_find_lines(const SshHosts *hosts, HostsMemo *memo) {
  EVP_MD *sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  size_t len = strlen(memo->name), room = 0;
  for (size_t i = 0; i < hosts->count; i++) {
    const HostsLine *line = &hosts->lines[i];
    bool named = line->names[0] != '|' ? hosts_list_has(line->names, line->names_len, memo->name)
                                       : line->hash != NULL && hosts_hash_is(context, sha1, line->hash, memo->name, len);
    if (!named) continue;
    if (memo->count == room) memo->lines = mem_realloc(memo->lines, (room = 2 * room + 4) * sizeof *memo->lines);
    memo->lines[memo->count++] = i;
  }
  EVP_MD_CTX_free(context);
  EVP_MD_free(sha1);
}

static void hosts_forget(HostsMemos *memos) {
  for (HostsMemo *memo = memos->first, *next; memo != NULL; memo = next) {
    next = memo->next;
    free(memo->name);
    free(memo->lines);
    free(memo);
  }
  *memos = (HostsMemos){0};
}

static const HostsMemo *hosts_lines(const SshHosts *hosts, const char *name) {
  HostsMemos *memos = hosts->memos;
  for (HostsMemo *memo = memos->first; memo != NULL; memo = memo->next)
    if (strcmp(memo->name, name) == 0) return memo;
  if (memos->count >= HOSTS_MOST_MEMOS) hosts_forget(memos);
  HostsMemo *memo = mem_alloc(sizeof *memo);
  memo->name = mem_strdup(name);
  hosts_find_lines(hosts, memo);
  memo->next = memos->first;
  memos->first = memo;
  memos->count++;
  return memo;
}

void ssh_hosts_name(const char *alias, const char *host, int port, Buf *name) {
  if (alias != NULL) {
    buf_add_str(name, alias);
    return;
  }
  bool apart = port != HOSTS_PORT && port > 0;
  if (apart) buf_add_char(name, '[');
  for (; *host != '\0'; host++)
    buf_add_char(name, (char)tolower((unsigned char)*host));
  if (apart) buf_printf(name, "]:%d", port);
}

/* "[host]:port" → "host": ssh takes a key that is known for the bare name too. False: it is no such name. */
static bool hosts_bare(const char *name, Buf *bare) {
  const char *close = strrchr(name, ']');
  if (name[0] != '[' || close == NULL || close[1] != ':') return false;
  buf_add(bare, name + 1, (size_t)(close - name - 1));
  return true;
}

/* ---- answers ---- */

/* The name of the kind of key: rsa has more algorithms than kinds. */
static const char *hosts_kind(const char *type) { return strncmp(type, "rsa-sha2-", 9) == 0 ? "ssh-rsa" : type; }

/* Which of the lines that name the host there are, as bits of SshHostState. */
static unsigned hosts_seen(const SshHosts *hosts, const char *name, const char *kind, const void *blob, size_t len) {
  const HostsMemo *memo = hosts_lines(hosts, name);
  unsigned seen = 0;
  for (size_t i = 0; i < memo->count; i++) {
    const HostsLine *line = &hosts->lines[memo->lines[i]];
    bool same = line->len == len && memcmp(line->blob, blob, len) == 0;
    SshHostState state = line->marker == HOSTS_AUTHORITY ? SSH_HOST_AUTHORITY
                         : line->marker == HOSTS_REVOKED ? SSH_HOST_REVOKED
                         : same                          ? SSH_HOST_OK
                         : strcmp(line->type, kind) == 0 ? SSH_HOST_CHANGED
                                                         : SSH_HOST_OTHER;
    if (state != SSH_HOST_REVOKED || same) seen |= 1U << state;
  }
  return seen;
}

SshHostState ssh_hosts_check(const SshHosts *hosts, const char *name, const char *type, const void *blob, size_t len) {
  /* The first that was seen is the answer. */
  static const SshHostState order[] = {SSH_HOST_REVOKED, SSH_HOST_OK, SSH_HOST_CHANGED, SSH_HOST_AUTHORITY, SSH_HOST_OTHER};
  const char *kind = hosts_kind(type);
  unsigned seen = hosts_seen(hosts, name, kind, blob, len);
  Buf bare = {0};
  if (hosts_bare(name, &bare)) {
    unsigned more = hosts_seen(hosts, buf_str(&bare), kind, blob, len);
    /* Another key of the bare name says nothing: what listens at another port is another server. */
    seen |= more & 1U << SSH_HOST_REVOKED;
    if (seen == 0) seen |= more & (1U << SSH_HOST_OK | 1U << SSH_HOST_AUTHORITY);
  }
  buf_fini(&bare);
  for (size_t i = 0; i < sizeof order / sizeof *order; i++)
    if ((seen & 1U << order[i]) != 0) return order[i];
  return SSH_HOST_UNKNOWN;
}

static const HostsLine *hosts_find(const SshHosts *hosts, const char *name, const char *kind) {
  const HostsMemo *memo = hosts_lines(hosts, name);
  for (size_t i = 0; i < memo->count; i++) {
    const HostsLine *line = &hosts->lines[memo->lines[i]];
    if (line->marker == HOSTS_PLAIN && strcmp(line->type, kind) == 0) return line;
  }
  return NULL;
}

static void hosts_types_of(const SshHosts *hosts, const char *name, Buf *list) {
  static const char *const best[][2] = {
      {"ssh-ed25519", "ssh-ed25519"},
      {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"},
      {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"},
      {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"},
      {"sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com"},
      {"sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"},
      {"ssh-rsa", "rsa-sha2-512,rsa-sha2-256,ssh-rsa"},
      {"ssh-dss", "ssh-dss"},
  };
  for (size_t i = 0; i < sizeof best / sizeof *best; i++)
    if (hosts_find(hosts, name, best[i][0]) != NULL) buf_printf(list, "%s%s", list->len > 0 ? "," : "", best[i][1]);
}

void ssh_hosts_types(const SshHosts *hosts, const char *name, Buf *list) {
  Buf bare = {0};
  buf_clear(list);
  hosts_types_of(hosts, name, list);
  if (list->len == 0 && hosts_bare(name, &bare)) hosts_types_of(hosts, buf_str(&bare), list);
  buf_fini(&bare);
}

void ssh_hosts_fingerprint(const void *blob, size_t len, Buf *text) {
  unsigned char digest[EVP_MAX_MD_SIZE], encoded[EVP_MAX_MD_SIZE * 2];
  unsigned digest_len = 0;
  if (EVP_Digest(blob, len, digest, &digest_len, EVP_sha256(), NULL) != 1) return;
  int encoded_len = EVP_EncodeBlock(encoded, digest, (int)digest_len);
  while (encoded_len > 0 && encoded[encoded_len - 1] == '=')
    encoded_len--;
  buf_printf(text, "SHA256:%.*s", encoded_len, (const char *)encoded);
}

bool ssh_hosts_known(const SshHosts *hosts, const char *name, const char *type, Buf *where, Buf *fingerprint) {
  const HostsLine *line = hosts_find(hosts, name, hosts_kind(type));
  if (line == NULL) return false;
  buf_printf(where, "%s:%d", line->file, line->number);
  ssh_hosts_fingerprint(line->blob, line->len, fingerprint);
  return true;
}
