/* ssh_files: see ssh_files.h. */
#include "net/ssh_files.h"

#include <ctype.h>
#include <glob.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "net/ssh_hosts.h"

#define FILES_BYTES ((size_t)4 << 20)
#define FILES_DEPTH 16 /* of Include, as ssh has it */
#define FILES_MOST 256
#define FILES_SYSTEM_DIR "/etc/ssh"
#define FILES_BLANKS " \t\r\n\f\v"

typedef struct FilesOne {
  char *path;
  FileMark mark;
  Buf text;
} FilesOne;

/* An Include, and what it stood for: paths with a newline behind each. */
typedef struct FilesGlob {
  char *pattern;
  Buf paths;
} FilesGlob;

struct SshFiles {
  bool plain;
  char *home;
  FilesOne *list;
  size_t count;
  FilesGlob *globs;
  size_t nglobs;
  char **patterns;
  size_t npatterns;
};

/* ---- one file ---- */

/* Anything but a regular file is not opened: a pipe could be read once only. */
static bool files_load(FilesOne *one) {
  file_mark(one->path, &one->mark);
  if (!one->mark.exists) return true;
  if (!S_ISREG(one->mark.st.st_mode)) return false;
  return file_read(one->path, FILES_BYTES, &one->text, NULL) && memchr(buf_str(&one->text), '\0', one->text.len) == NULL;
}

static bool files_one_current(FilesOne *one) {
  FileMark now;
  file_mark(one->path, &now);
  if (file_mark_same(&one->mark, &now)) return true;
  if (!now.exists || !file_mark_looks_same(&one->mark, &now)) return false;
  Buf text = {0};
  bool same = file_read(one->path, FILES_BYTES, &text, NULL) && text.len == one->text.len &&
              memcmp(buf_str(&text), buf_str(&one->text), text.len) == 0;
  buf_fini(&text);
  one->mark.sure = same && now.sure;
  return same;
}

/* ---- lines ---- */

static void files_add_pattern(SshFiles *files, const char *text, size_t len) {
  while (len > 0 && *text == '!') {
    text++;
    len--;
  }
  Buf pattern = {0};
  buf_add(&pattern, text, len);
  files->patterns = mem_realloc(files->patterns, (files->npatterns + 1) * sizeof *files->patterns);
  files->patterns[files->npatterns++] = buf_take(&pattern);
}

/* The next word, of which quotes are taken off when they stand around all of it. False: it is written in another way. */
static bool files_word(const char **at, const char **word, size_t *len) {
  *at += strspn(*at, FILES_BLANKS);
  bool quoted = **at == '"';
  *word = *at + (quoted ? 1 : 0);
  *len = strcspn(*word, quoted ? "\"\\" : FILES_BLANKS "\"'\\");
  const char *end = *word + *len;
  if (quoted && *end++ != '"') return false;
  *at = end;
  return *end == '\0' || strchr(FILES_BLANKS, *end) != NULL;
}

static bool files_read_one(SshFiles *files, const char *path, bool users, int depth);

static void files_expand(const char *pattern, Buf *paths) {
  glob_t found = {0};
  if (glob(pattern, 0, NULL, &found) == 0)
    for (size_t i = 0; i < found.gl_pathc; i++)
      buf_printf(paths, "%s\n", found.gl_pathv[i]);
  globfree(&found);
}

static bool files_include(SshFiles *files, const char *word, size_t len, bool users, int depth) {
  Buf pattern = {0};
  bool tilde = len > 0 && *word == '~';
  if (len == 0 || (tilde && (len < 2 || word[1] != '/')) || memchr(word, '$', len) != NULL || memchr(word, '%', len) != NULL)
    return false;
  if (tilde)
    buf_printf(&pattern, "%s%.*s", files->home, (int)len - 1, word + 1);
  else
    buf_printf(&pattern, "%s%s%.*s",
               *word == '/' ? ""
               : users      ? files->home
                            : FILES_SYSTEM_DIR,
               *word == '/' ? ""
               : users      ? "/.ssh/"
                            : "/",
               (int)len, word);
  files->globs = mem_realloc(files->globs, (files->nglobs + 1) * sizeof *files->globs);
  FilesGlob *one = &files->globs[files->nglobs++];
  *one = (FilesGlob){.pattern = buf_take(&pattern)};
  files_expand(one->pattern, &one->paths);
  Buf paths = {0}; /* the list of globs moves while files are read */
  buf_add(&paths, buf_str(&one->paths), one->paths.len);
  bool good = true;
  char *rest = paths.data;
  for (char *end; good && rest != NULL && (end = strchr(rest, '\n')) != NULL; rest = end + 1) {
    *end = '\0';
    good = files_read_one(files, rest, users, depth + 1);
  }
  buf_fini(&paths);
  return good;
}

/* Every word behind Host, of an Include. A comment's words are patterns that no harm comes from, but files of which ssh knows
 * nothing: that shows, and then nothing is shared. */
static bool files_words(SshFiles *files, bool is_host, const char *rest, bool users, int depth) {
  const char *word;
  size_t len;
  while (rest[strspn(rest, FILES_BLANKS)] != '\0') {
    if (!files_word(&rest, &word, &len)) return false;
    if (is_host)
      files_add_pattern(files, word, len);
    else if (!files_include(files, word, len, users, depth))
      return false;
  }
  return true;
}

static bool files_is(const char *rest, const char *const *values) {
  const char *word;
  size_t len;
  if (!files_word(&rest, &word, &len) || rest[strspn(rest, FILES_BLANKS)] != '\0') return false;
  for (; *values != NULL; values++)
    if (strlen(*values) == len && strncasecmp(word, *values, len) == 0) return true;
  return false;
}

static bool files_line(SshFiles *files, const char *line, bool users, int depth) {
  static const char *const all[] = {"all", NULL}, *const no[] = {"no", "false", NULL};
  line += strspn(line, FILES_BLANKS);
  if (*line == '\0' || *line == '#') return true;
  size_t len = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
  const char *rest = line + len;
  if (len == 0 || (*rest != '\0' && *rest != '=' && strchr(FILES_BLANKS, *rest) == NULL)) return false;
  rest += strspn(rest, FILES_BLANKS);
  if (*rest == '=') rest++;
  if (len == 4 && strncasecmp(line, "host", 4) == 0) return files_words(files, true, rest, users, depth);
  if (len == 7 && strncasecmp(line, "include", 7) == 0) return files_words(files, false, rest, users, depth);
  if (len == 5 && strncasecmp(line, "match", 5) == 0) return files_is(rest, all);
  if (len == 20 && strncasecmp(line, "canonicalizehostname", 20) == 0) return files_is(rest, no);
  return true;
}

static bool files_read_one(SshFiles *files, const char *path, bool users, int depth) {
  if (depth > FILES_DEPTH || files->count >= FILES_MOST) return false;
  FilesOne one = {.path = mem_strdup(path)};
  bool good = files_load(&one);
  files->list = mem_realloc(files->list, (files->count + 1) * sizeof *files->list);
  files->list[files->count++] = one;
  Buf line = {0};
  for (const char *at = buf_str(&one.text), *end; good && *at != '\0'; at = *end != '\0' ? end + 1 : end) {
    end = at + strcspn(at, "\n");
    buf_clear(&line);
    buf_add(&line, at, (size_t)(end - at));
    good = files_line(files, buf_str(&line), users, depth);
  }
  buf_fini(&line);
  return good;
}

/* ---- all of it ---- */

SshFiles *ssh_files_read(const char *file) {
  SshFiles *files = mem_alloc(sizeof *files);
  const struct passwd *user = getpwuid(getuid()); // NOLINT(concurrency-mt-unsafe): no other thread asks for users
  const char *home = getenv("HOME");
  files->home = mem_strdup(user != NULL ? user->pw_dir : "");
  /* ssh takes the one or the other, by the place. */
  files->plain = user != NULL && (home == NULL || strcmp(home, files->home) == 0);
  if (file != NULL) {
    files->plain = files->plain && strcasecmp(file, "none") != 0 && files_read_one(files, file, true, 0);
  } else if (files->plain) {
    Buf path = {0};
    buf_printf(&path, "%s/.ssh/config", files->home);
    files->plain =
        files_read_one(files, buf_str(&path), true, 0) && files_read_one(files, FILES_SYSTEM_DIR "/ssh_config", false, 0);
    buf_fini(&path);
  }
  return files;
}

void ssh_files_free(SshFiles *files) {
  if (files == NULL) return;
  for (size_t i = 0; i < files->count; i++) {
    free(files->list[i].path);
    buf_fini(&files->list[i].text);
  }
  for (size_t i = 0; i < files->nglobs; i++) {
    free(files->globs[i].pattern);
    buf_fini(&files->globs[i].paths);
  }
  for (size_t i = 0; i < files->npatterns; i++)
    free(files->patterns[i]);
  free(files->list);
  free(files->globs);
  free(files->patterns);
  free(files->home);
  free(files);
}

bool ssh_files_plain(const SshFiles *files) { return files->plain; }

bool ssh_files_current(SshFiles *files) {
  for (size_t i = 0; i < files->count; i++)
    if (!files_one_current(&files->list[i])) return false;
  for (size_t i = 0; i < files->nglobs; i++) {
    Buf paths = {0};
    files_expand(files->globs[i].pattern, &paths);
    bool same = strcmp(buf_str(&paths), buf_str(&files->globs[i].paths)) == 0;
    buf_fini(&paths);
    if (!same) return false;
  }
  return true;
}

static bool files_has(const SshFiles *files, const char *path, size_t len, bool *seen) {
  bool found = false;
  for (size_t i = 0; i < files->count; i++) {
    if (strlen(files->list[i].path) != len || memcmp(files->list[i].path, path, len) != 0) continue;
    seen[i] = found = true;
  }
  return found;
}

bool ssh_files_are(const SshFiles *files, const char *said) {
  static const char word[] = "Reading configuration data ";
  bool *seen = mem_alloc(files->count + 1), good = true;
  while (good && (said = strstr(said, word)) != NULL) {
    said += sizeof word - 1;
    good = files_has(files, said, strcspn(said, "\r\n"), seen);
  }
  for (size_t i = 0; i < files->count; i++)
    good = good && seen[i] == files->list[i].mark.exists;
  free(seen);
  return good;
}

void ssh_files_vector(const SshFiles *files, const char *name, Buf *vector) {
  for (size_t i = 0; i < files->npatterns; i++)
    buf_add_char(vector, ssh_hosts_glob(name, files->patterns[i], strlen(files->patterns[i])) ? '1' : '0');
}
