/* ssh_config: see ssh_config.h. Here: from what `ssh -G` printed to a structure. */
#include "net/ssh_config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop/proc.h"
#include "net/ssh_expand.h"
#include "net/ssh_limits.h"

#define CONFIG_BLANKS " \t\r\n\f\v"

/* ---- the lines ---- */

/* "Keyword value" → "keyword value". Empty lines and what cannot be one (a NUL in it) are left out. */
static void config_add_line(SshConfig *config, const char *line, size_t len) {
  while (len > 0 && strchr(CONFIG_BLANKS, line[len - 1]) != NULL)
    len--;
  if (len == 0 || memchr(line, '\0', len) != NULL) return;
  char *copy = mem_alloc(len + 1);
  memcpy(copy, line, len);
  for (char *c = copy; *c != '\0' && *c != ' '; c++)
    *c = (char)tolower((unsigned char)*c);
  proc_list_add(&config->all, copy);
  free(copy);
}

/* Long texts are cut off by whoever reads them from the child; a list is walked for each line, so there is a limit here too. */
#define CONFIG_LINES 2000

static void config_split(SshConfig *config, const char *text, size_t len) {
  for (int lines = 0; len > 0 && lines < CONFIG_LINES; lines++) {
    const char *newline = memchr(text, '\n', len);
    size_t part = newline != NULL ? (size_t)(newline - text) : len;
    config_add_line(config, text, part);
    size_t used = newline != NULL ? part + 1 : part;
    text += used;
    len -= used;
  }
}

/* The value of a line that has this keyword, else NULL. */
static const char *config_value(const char *line, const char *keyword) {
  size_t len = strlen(keyword);
  if (strncmp(line, keyword, len) != 0 || line[len] != ' ') return NULL;
  return line + len + 1;
}

const char *ssh_config_get(const SshConfig *config, const char *keyword) {
  for (char **line = config->all; line != NULL && *line != NULL; line++) {
    const char *value = config_value(*line, keyword);
    if (value != NULL) return value;
  }
  return NULL;
}

/* The value, NULL also when it is "none". */
static const char *config_set(const SshConfig *config, const char *keyword) {
  const char *value = ssh_config_get(config, keyword);
  return value != NULL && strcmp(value, "none") != 0 ? value : NULL;
}

static bool config_true(const SshConfig *config, const char *keyword) {
  const char *value = ssh_config_get(config, keyword);
  return value != NULL && (strcmp(value, "yes") == 0 || strcmp(value, "true") == 0);
}

static int config_number(const SshConfig *config, const char *keyword) {
  const char *value = ssh_config_get(config, keyword);
  char *end = NULL;
  long number = value != NULL ? strtol(value, &end, 10) : 0;
  return end != NULL && end != value && *end == '\0' && number > 0 && number <= 1000000 ? (int)number : 0;
}

/* ---- lists ---- */

static char **config_empty_list(void) { return mem_alloc(sizeof(char *)); }

static void config_add_part(char ***list, const char *text, size_t len) {
  Buf part = {0};
  buf_add(&part, text, len);
  proc_list_add(list, buf_str(&part));
  buf_fini(&part);
}

static void config_add_words(char ***list, const char *text, const char *separators) {
  while (*(text += strspn(text, separators)) != '\0') {
    size_t len = strcspn(text, separators);
    config_add_part(list, text, len);
    text += len;
  }
}

/* Names of files on one line, which ssh prints without quotes. Names are absolute as a rule: then a blank ends a name only in
 * front of a slash, and a name with blanks stays whole. */
static void config_add_paths(char ***list, const char *text) {
  if (strcmp(text, "none") == 0) return;
  if (*text != '/') {
    config_add_words(list, text, " ");
    return;
  }
  while (*text != '\0') {
    const char *next = strstr(text, " /");
    size_t len = next != NULL ? (size_t)(next - text) : strlen(text);
    config_add_part(list, text, len);
    text += next != NULL ? len + 1 : len;
  }
}

static bool config_file_exists(const char *path) {
  Buf public = {0};
  buf_printf(&public, "%s.pub", path);
  bool exists = access(path, F_OK) == 0 || access(buf_str(&public), F_OK) == 0;
  buf_fini(&public);
  return exists;
}

/* Every line of a keyword, expanded; `existing`: those without a file are left out. */
static bool config_files(const SshConfig *config, const char *keyword, bool existing, char ***list, Err *err) {
  *list = config_empty_list();
  for (char **line = config->all; line != NULL && *line != NULL; line++) {
    const char *value = config_value(*line, keyword);
    if (value == NULL || strcmp(value, "none") == 0) continue;
    Buf path = {0};
    bool ok = ssh_expand(config, value, SSH_EXPAND_FILE, true, &path, err);
    if (ok && (!existing || config_file_exists(buf_str(&path)))) proc_list_add(list, buf_str(&path));
    buf_fini(&path);
    if (!ok) return false;
  }
  return true;
}

/* ---- jumps ---- */

/* As in a URI: what may not stand there is percent-encoded. */
static void config_add_encoded(Buf *out, const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (isalnum((unsigned char)text[i]) || strchr("-._~@\\", text[i]) != NULL)
      buf_add_char(out, text[i]);
    else
      buf_printf(out, "%%%02X", (unsigned char)text[i]);
  }
}

/* "[user@]host[:port]" as ssh prints a hop ("[127.0.0.1]:22") → as it can be given to ssh: with a port as a URI. */
static void config_add_jump(char ***list, const char *hop) {
  Buf out = {0};
  if (strncmp(hop, "ssh://", 6) == 0) {
    proc_list_add(list, hop);
    return;
  }
  const char *at = strrchr(hop, '@'), *host = at != NULL ? at + 1 : hop;
  bool bracket = *host == '[' && strchr(host, ']') != NULL;
  size_t len = bracket ? strcspn(++host, "]") : strcspn(host, ":");
  const char *port = strchr(host + len, ':');
  bool is_v6 = memchr(host, ':', len) != NULL;
  bool uri = port != NULL || is_v6;
  if (uri) buf_add_str(&out, "ssh://");
  if (at != NULL && uri) config_add_encoded(&out, hop, (size_t)(at - hop));
  if (at != NULL && !uri) buf_add(&out, hop, (size_t)(at - hop));
  if (at != NULL) buf_add_char(&out, '@');
  if (is_v6) buf_add_char(&out, '[');
  buf_add(&out, host, len);
  if (is_v6) buf_add_char(&out, ']');
  if (port != NULL) buf_add_str(&out, port);
  proc_list_add(list, buf_str(&out));
  buf_fini(&out);
}

static bool config_jumps(SshConfig *config, Err *err) {
  config->jumps = config_empty_list();
  const char *value = config_set(config, "proxyjump");
  if (value == NULL) return true;
  Buf text = {0};
  char **hops = config_empty_list();
  bool ok = ssh_expand(config, value, SSH_EXPAND_PROXY, false, &text, err);
  if (ok) config_add_words(&hops, buf_str(&text), ", ");
  for (char **hop = hops; *hop != NULL; hop++)
    config_add_jump(&config->jumps, *hop);
  ssh_list_free(hops);
  buf_fini(&text);
  return ok;
}

/* ---- the parts ---- */

/* The name in "user@name", "ssh://user@name:port": for a release whose -G does not print it. */
static char *config_original(const char *host) {
  Buf name = {0};
  bool uri = strncmp(host, "ssh://", 6) == 0;
  if (uri) host += 6;
  const char *at = strrchr(host, '@');
  if (at != NULL) host = at + 1;
  size_t len = uri ? strcspn(host, ":/") : strlen(host);
  if (uri && *host == '[') {
    host++;
    len = strcspn(host, "]");
  }
  buf_add(&name, host, len);
  return buf_take(&name);
}

/* Who, where. */
static bool config_address(SshConfig *config, const char *host, Err *err) {
  const char *original = ssh_config_get(config, "host");
  config->host = mem_strdup(host);
  config->original = original != NULL ? mem_strdup(original) : config_original(host);
  config->hostname = mem_strdup(ssh_config_get(config, "hostname"));
  config->user = mem_strdup(ssh_config_get(config, "user"));
  config->port = config_number(config, "port");
  config->host_key_alias = mem_strdup(config_set(config, "hostkeyalias"));
  const char *missing = config->hostname == NULL                         ? "hostname"
                        : config->user == NULL                           ? "user"
                        : config->port <= 0 || config->port > UINT16_MAX ? "port"
                                                                         : NULL;
  return missing == NULL || err_set(err, ERR_SSH_CONNECT, "ssh -G told no %s for %s", missing, host);
}

/* IdentityAgent: not configured: SSH_AUTH_SOCK; that word, "$NAME": the variable; "none"; else a path, which newer releases have
 * expanded. */
static bool config_agent(SshConfig *config, Err *err) {
  const char *value = ssh_config_get(config, "identityagent"), *path = NULL;
  Buf text = {0};
  bool ok = true;
  if (value == NULL || strcmp(value, "SSH_AUTH_SOCK") == 0) {
    path = getenv("SSH_AUTH_SOCK");
  } else if (value[0] == '$' && value[1] != '{') {
    path = getenv(value + 1);
  } else if (strcmp(value, "none") != 0) {
    ok = ssh_expand(config, value, SSH_EXPAND_FILE, true, &text, err);
    path = buf_str(&text);
  }
  config->identity_agent = path != NULL && *path != '\0' ? mem_strdup(path) : NULL;
  buf_fini(&text);
  return ok;
}

static bool config_keys(SshConfig *config, Err *err) {
  config->identities_only = config_true(config, "identitiesonly");
  config->gssapi = config_true(config, "gssapiauthentication");
  config->pkcs11_provider = mem_strdup(config_set(config, "pkcs11provider"));
  return config_files(config, "identityfile", true, &config->identity_files, err) &&
         config_files(config, "certificatefile", false, &config->certificate_files, err) && config_agent(config, err);
}

static void config_known_hosts(SshConfig *config) {
  config->user_known_hosts = config_empty_list();
  config->global_known_hosts = config_empty_list();
  const char *user = config_set(config, "userknownhostsfile"), *global = config_set(config, "globalknownhostsfile");
  if (user != NULL) config_add_paths(&config->user_known_hosts, user);
  if (global != NULL) config_add_paths(&config->global_known_hosts, global);
  /* Releases print "true" for yes, "false" for no. */
  const char *strict = ssh_config_get(config, "stricthostkeychecking");
  if (strict != NULL && strcmp(strict, "true") == 0) strict = "yes";
  if (strict != NULL && (strcmp(strict, "false") == 0 || strcmp(strict, "off") == 0)) strict = "no";
  config->strict_host_key_checking = mem_strdup(strict != NULL ? strict : "ask");
}

static void config_rest(SshConfig *config) {
  config->proxy_command = mem_strdup(config_set(config, "proxycommand"));
  config->control_path = mem_strdup(config_set(config, "controlpath"));
  config->remote_command = mem_strdup(config_set(config, "remotecommand"));
  config->host_key_algorithms = mem_strdup(ssh_config_get(config, "hostkeyalgorithms"));
  config->kex_algorithms = mem_strdup(ssh_config_get(config, "kexalgorithms"));
  config->ciphers = mem_strdup(ssh_config_get(config, "ciphers"));
  config->macs = mem_strdup(ssh_config_get(config, "macs"));
  config->pubkey_algorithms = mem_strdup(ssh_config_get(config, "pubkeyacceptedalgorithms"));
  if (config->pubkey_algorithms == NULL) config->pubkey_algorithms = mem_strdup(ssh_config_get(config, "pubkeyacceptedkeytypes"));
  config->connect_timeout_s = config_number(config, "connecttimeout");
  config->keepalive_s = config_number(config, "serveraliveinterval");
}

bool ssh_config_parse(SshConfig *config, const char *host, const char *text, size_t len, Err *err) {
  memset(config, 0, sizeof *config);
  config_split(config, text, len);
  bool ok = config_address(config, host, err) && config_keys(config, err) && config_jumps(config, err);
  if (ok) {
    config_known_hosts(config);
    config_rest(config);
    ssh_limits_find(config, &config->unsupported);
  } else {
    ssh_config_fini(config);
  }
  return ok;
}

/* ---- the end ---- */

void ssh_list_free(char **list) {
  for (char **item = list; item != NULL && *item != NULL; item++)
    free(*item);
  free(list);
}

void ssh_config_fini(SshConfig *config) {
  char *texts[] = {config->host,
                   config->original,
                   config->hostname,
                   config->user,
                   config->host_key_alias,
                   config->identity_agent,
                   config->strict_host_key_checking,
                   config->proxy_command,
                   config->host_key_algorithms,
                   config->kex_algorithms,
                   config->ciphers,
                   config->macs,
                   config->pubkey_algorithms,
                   config->control_path,
                   config->remote_command,
                   config->pkcs11_provider};
  char **lists[] = {config->identity_files,
                    config->user_known_hosts,
                    config->global_known_hosts,
                    config->jumps,
                    config->unsupported,
                    config->certificate_files,
                    config->all};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    free(texts[i]);
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
    ssh_list_free(lists[i]);
  memset(config, 0, sizeof *config);
}
