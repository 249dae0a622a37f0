/* ssh_openssh_argv: see ssh_openssh.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/ssh_hosts.h"
#include "net/ssh_openssh.h"

/* Runs the master and ends it, and its directory, when our end of its standard input goes: also when we are killed. The master
 * itself ends by TERM at once and closes its channels. $1: the directory, then ssh's words. */
static const char openssh_guard[] = "d=$1; shift; exec 3<&0\n"
                                    "\"$@\" </dev/null 3<&- & p=$!\n"
                                    "{ read -r _ <&3; while kill $p; do sleep 0.2 || sleep 1; done; } >/dev/null 2>&1 & g=$!\n"
                                    "trap 'kill $p' TERM INT HUP\n"
                                    "wait $p; s=$?\n"
                                    "trap '' TERM INT HUP\n"
                                    "{ kill $g; wait $p; rm -f \"$d\"/*; rmdir \"$d\"; } 2>/dev/null\n"
                                    "exit $s\n";

static void argv_option(char ***argv, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void argv_option(char ***argv, const char *format, ...) {
  Buf text = {0};
  va_list args;
  va_start(args, format);
  buf_vprintf(&text, format, args);
  va_end(args);
  proc_list_add(argv, "-o");
  proc_list_add(argv, buf_str(&text));
  buf_fini(&text);
}

/* Only against a configured value: a release that does not know the keyword refuses it. */
static void argv_option_unless(const SshConfig *config, char ***argv, const char *keyword, const char *value) {
  const char *now = ssh_config_get(config, keyword);
  if (now != NULL && strcmp(now, value) != 0) argv_option(argv, "%s=%s", keyword, value);
}

/* ---- a master ---- */

/* Nobody is asked, no key is added. */
static void argv_strict(char ***argv) {
  argv_option(argv, "BatchMode=yes");
  argv_option(argv, "StrictHostKeyChecking=yes");
  argv_option(argv, "UpdateHostKeys=no");
  argv_option(argv, "LogLevel=ERROR");
}

static void argv_file(const SshSession *session, char ***argv) {
  if (session->how.options->config == NULL) return;
  proc_list_add(argv, "-F");
  proc_list_add(argv, session->how.options->config);
}

/* As a value of ProxyCommand: ssh's % tokens doubled. */
static void argv_shell(char **argv, Buf *line) {
  Buf plain = {0};
  for (char **word = argv; *word != NULL; word++) {
    if (plain.len > 0) buf_add_char(&plain, ' ');
    ssh_quote(&plain, *word);
  }
  for (const char *c = buf_str(&plain); *c != '\0'; c++) {
    if (*c == '%') buf_add_char(line, '%');
    buf_add_char(line, *c);
  }
  buf_fini(&plain);
}

/* ProxyJump as ssh does it, one ssh -W a hop, but each as strict as the last: ssh would not hand the options on. A first hop's
 * own ProxyJump holds; later hops go through the one before. The user's own master of a hop is used, as ssh would. */
static void argv_jumps(const SshSession *session, char ***argv) {
  Buf proxy = {0};
  for (char **hop = session->how.config->jumps; *hop != NULL; hop++) {
    char **words = NULL;
    Buf line = {0};
    proc_list_add(&words, "ssh");
    argv_file(session, &words);
    argv_strict(&words);
    argv_option(&words, "ClearAllForwardings=yes");
    if (proxy.len > 0) argv_option(&words, "ProxyCommand=%s", buf_str(&proxy));
    ssh_config_argv(&words, *hop);
    argv_shell(words + 1, &line);
    buf_clear(&proxy);
    buf_printf(&proxy, "ssh -W '[%%h]:%%p' %s", buf_str(&line));
    buf_fini(&line);
    for (char **word = words; *word != NULL; word++)
      free(*word);
    free(words);
  }
  if (proxy.len > 0) argv_option(argv, "ProxyCommand=%s", buf_str(&proxy));
  buf_fini(&proxy);
}

/* The name of the master's socket is looked through for % tokens. */
static void argv_socket(const SshSession *session, char ***argv) {
  Buf path = {0};
  for (const char *c = session->path; *c != '\0'; c++) {
    if (*c == '%') buf_add_char(&path, '%');
    buf_add_char(&path, *c);
  }
  proc_list_add(argv, "-S");
  proc_list_add(argv, buf_str(&path));
  buf_fini(&path);
}

static void argv_master(const SshSession *session, char ***argv) {
  const SshConfig *config = session->how.config;
  proc_list_add(argv, "ssh");
  argv_file(session, argv);
  proc_list_add(argv, "-NTxM");
  argv_socket(session, argv);
  argv_strict(argv);
  argv_option(argv, "ControlPersist=no");
  argv_option(argv, "ClearAllForwardings=yes");
  argv_option(argv, "PermitLocalCommand=no");
  argv_option(argv, "ConnectTimeout=%d", (int)((session->how.timeout_ms + 999) / 1000));
  if (config->keepalive_s <= 0) argv_option(argv, "ServerAliveInterval=%d", SSH_KEEPALIVE_S);
  argv_option_unless(config, argv, "nohostauthenticationforlocalhost", "no");
  argv_option_unless(config, argv, "forkafterauthentication", "no");
  argv_option_unless(config, argv, "visualhostkey", "no");
  argv_option_unless(config, argv, "tunnel", "false");
  if (config->remote_command != NULL) argv_option(argv, "RemoteCommand=none");
  argv_jumps(session, argv);
  ssh_config_argv(argv, session->how.options->host);
}

void ssh_openssh_master_argv(const SshSession *session, char ***argv) {
  static const char *const shell[] = {"sh", "-c", openssh_guard, "sh"};
  for (size_t i = 0; i < sizeof shell / sizeof *shell; i++)
    proc_list_add(argv, shell[i]);
  proc_list_add(argv, session->dir);
  if (session->is_users) { /* nothing to run: only the directory is watched */
    proc_list_add(argv, "sleep");
    proc_list_add(argv, "2147483647");
  } else {
    argv_master(session, argv);
  }
}

/* ---- a command ---- */

void ssh_openssh_client_argv(const SshSession *session, const char *line, const char *log, char ***argv) {
  const SshConfig *config = session->how.config;
  Buf command = {0};
  static const char *const words[] = {
      "ssh", "-F", "/dev/null", /* the master has read it all, and its Match exec may be slow */
      "-Tx", "-E",
  };
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    proc_list_add(argv, words[i]);
  proc_list_add(argv, log);
  argv_socket(session, argv);
  argv_option(argv, "ControlMaster=no");
  argv_option(argv, "ProxyCommand=false"); /* without its master it would connect by itself */
  argv_option(argv, "BatchMode=yes");
  argv_option(argv, "LogLevel=DEBUG3");
  const char *agent = ssh_config_get(config, "forwardagent");
  if (agent != NULL && strcmp(agent, "no") != 0 && strcmp(agent, "false") != 0) argv_option(argv, "ForwardAgent=yes");
  for (char **all = config->all; all != NULL && *all != NULL; all++)
    if (strncmp(*all, "setenv ", 7) == 0) argv_option(argv, "SetEnv=\"%s\"", *all + 7);
  proc_list_add(argv, "--");
  proc_list_add(argv, config->original);
  /* ssh does not tell of a signal that ended a command over a master: a shell stays, and its status is 128 and the signal. What
   * that shell has to say of it goes nowhere. */
  buf_add_str(&command, "exec /bin/sh -c 'exec 3>&2 2>/dev/null; (eval \"$1\") 2>&3 3>&-; exit $?' sh ");
  ssh_quote(&command, line);
  proc_list_add(argv, buf_str(&command));
  buf_fini(&command);
}

/* ---- what it says ---- */

OpensshEnd ssh_openssh_end(const char *log) {
  static const char *const refused[] = {"session request failed", "Master refused session request"};
  static const char *const nothing[] = {"Control socket connect(", "master alive request failed", "master hello exchange failed"};
  if (strstr(log, "Received exit status from master") != NULL) return OPENSSH_EXITED;
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
    if (strstr(log, refused[i]) != NULL) return OPENSSH_REFUSED;
  if (strstr(log, "master session id") != NULL) return OPENSSH_LOST;
  for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
    if (strstr(log, nothing[i]) != NULL) return OPENSSH_NOTHING;
  return OPENSSH_LOST;
}

/* Its last line, without what every line begins with. */
static void said_last_line(const char *said, Buf *line) {
  size_t end = strlen(said);
  while (end > 0 && strchr("\r\n ", said[end - 1]) != NULL)
    end--;
  size_t start = end;
  while (start > 0 && said[start - 1] != '\n')
    start--;
  if (end - start > 5 && strncmp(said + start, "ssh: ", 5) == 0) start += 5;
  buf_add(line, said + start, end - start);
}

/* "… for the ED25519 key sent by the remote host is\nSHA256:…", "The ED25519 host key for …": the kind of key. */
static const char *said_kind(const char *said) {
  static const char *const kinds[][2] = {{"ED25519", "ssh-ed25519"}, {"ECDSA", "ecdsa-sha2-nistp256"}, {"RSA", "ssh-rsa"}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    Buf sent = {0}, host = {0};
    buf_printf(&sent, "%s key sent", kinds[i][0]);
    buf_printf(&host, "%s host key", kinds[i][0]);
    bool found = strstr(said, buf_str(&sent)) != NULL || strstr(said, buf_str(&host)) != NULL;
    buf_fini(&sent);
    buf_fini(&host);
    if (found) return kinds[i][1];
  }
  return NULL;
}

/* "known is SHA256:… (file:line)" of the key that the files have. */
static void explain_known(const SshConfig *config, const char *kind, Buf *text) {
  char **lists[] = {config->user_known_hosts, config->global_known_hosts};
  Buf name = {0}, where = {0}, print = {0};
  ssh_hosts_name(config->host_key_alias, config->hostname, config->port, &name);
  bool found = false;
  for (size_t i = 0; i < 2 && !found && kind != NULL; i++) {
    SshHosts *hosts = ssh_hosts_load(lists[i], NULL);
    found = ssh_hosts_known(hosts, buf_str(&name), kind, &where, &print);
    ssh_hosts_free(hosts);
  }
  if (found) buf_printf(text, "; known is %s (%s)", buf_str(&print), buf_str(&where));
  buf_fini(&name);
  buf_fini(&where);
  buf_fini(&print);
}

static void explain_host_key(const SshConfig *config, const char *said, Err *err) {
  Buf text = {0};
  const char *sent = strstr(said, "SHA256:");
  if (strstr(said, "HOST IDENTIFICATION HAS CHANGED") != NULL) {
    buf_add_str(&text, "the host's key is not the known one");
    if (sent != NULL)
      buf_printf(&text, ": it is %.*s",
                 (int)strspn(sent, "SHA256:ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"), sent);
    explain_known(config, said_kind(said), &text);
  } else if (strstr(said, "REVOKED HOST KEY") != NULL) {
    buf_add_str(&text, "the host's key is revoked");
  } else if (strstr(said, "host key is known for") != NULL) {
    buf_add_str(&text, "no key is known for the host");
  } else {
    buf_add_str(&text, "the host's key could not be verified");
  }
  err_set(err, ERR_SSH_HOST_KEY, "%s", buf_str(&text));
  buf_fini(&text);
}

bool ssh_openssh_is_busy(const char *said) {
  static const char *const heads[] = {"kex_exchange_identification: ", "ssh_exchange_identification: ", "Connection closed by ",
                                      "Connection reset by "};
  bool busy = false;
  for (size_t len; *said != '\0'; said += len + (said[len] != '\0')) {
    len = strcspn(said, "\n");
    bool known = len == 0 || *said == '\r';
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
      known = known || strncmp(said, heads[i], strlen(heads[i])) == 0;
    if (!known) return false;
    busy = busy || memmem(said, len, "exchange_identification: ", 25) != NULL;
  }
  return busy;
}

/* Its ssh is never given a passphrase: there is no way to it but a program that has it, which others could run, too. */
static void explain_keys(const SshConfig *config, Err *err) {
  for (char **file = config->identity_files; file != NULL && *file != NULL; file++) {
    if (!ssh_key_is_encrypted(*file)) continue;
    err_set_hint(err, "the key has a passphrase, and through ssh nobody is asked for one: ssh-add '%s'", *file);
    return;
  }
  err_set_hint(err, "through ssh nobody is asked for a password: a key, in a file or an agent, has to let you in");
}

void ssh_openssh_explain(const SshSession *session, const char *said, Err *err) {
  static const char *const host_key[] = {"Host key verification failed", "HOST IDENTIFICATION HAS CHANGED", "REVOKED HOST KEY"};
  bool is_key = false;
  for (size_t i = 0; i < sizeof host_key / sizeof *host_key; i++)
    is_key = is_key || strstr(said, host_key[i]) != NULL;
  if (is_key) {
    explain_host_key(session->how.config, said, err);
  } else if (session->timed_out) {
    char span[CLOCK_SPAN_SIZE];
    clock_span(session->how.timeout_ms, span);
    err_set(err, ERR_SSH_CONNECT, "no session within %s", span);
  } else {
    Buf line = {0};
    said_last_line(said, &line);
    err_set(err, ERR_SSH_CONNECT, "%s", line.len > 0 ? buf_str(&line) : "ssh ended without a word");
    buf_fini(&line);
    if (strstr(said, "Permission denied") != NULL) explain_keys(session->how.config, err);
  }
  if (*said != '\0') err_set_detail(err, said);
}
