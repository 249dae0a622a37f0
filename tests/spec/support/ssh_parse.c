/* ssh_parse: what net/ssh_config.c and net/ssh_hosts.c make of texts, for specs. Compiled by support/ssh_parse.lua.
 *
 *   ssh_parse config HOST              the text of ssh -G on standard input → "field=value" lines, or "error CODE MESSAGE"
 *   ssh_parse run HOST [FILE]          the same, of a real ssh -G
 *   ssh_parse many FILE HOST…          of many at once, "== HOST" and every line of each, or "error MESSAGE"; FILE "": the user's.
 *                                      EDIT=COMMAND in the environment: run, and then once more all of them
 *   ssh_parse check FILE NAME TYPE KEY → ok changed other unknown revoked authority      KEY in base64
 *   ssh_parse types FILE NAME          → a comma list
 *   ssh_parse known FILE NAME TYPE     → "FILE:LINE FINGERPRINT", or nothing
 *   ssh_parse name ALIAS HOST PORT     → the name; ALIAS may be ""
 *   ssh_parse print KEY                → the fingerprint */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/ssh_config.h"
#include "net/ssh_hosts.h"

static void show(const char *name, const char *value) {
  if (value != NULL) printf("%s=%s\n", name, value);
}

static void show_list(const char *name, char *const *list) {
  for (; *list != NULL; list++)
    show(name, *list);
}

static int show_config(const SshConfig *c) {
  show("host", c->host);
  show("original", c->original);
  show("hostname", c->hostname);
  show("user", c->user);
  printf("port=%d\n", c->port);
  show("host_key_alias", c->host_key_alias);
  show_list("identity_file", c->identity_files);
  printf("identities_only=%d\n", c->identities_only);
  show("identity_agent", c->identity_agent);
  show_list("user_known_hosts", c->user_known_hosts);
  show_list("global_known_hosts", c->global_known_hosts);
  show("strict", c->strict_host_key_checking);
  show_list("jump", c->jumps);
  show("proxy_command", c->proxy_command);
  show("host_key_algorithms", c->host_key_algorithms);
  printf("connect_timeout_s=%d\nkeepalive_s=%d\ngssapi=%d\n", c->connect_timeout_s, c->keepalive_s, c->gssapi);
  show("control_path", c->control_path);
  show("remote_command", c->remote_command);
  show_list("certificate_file", c->certificate_files);
  show("pkcs11_provider", c->pkcs11_provider);
  show_list("unsupported", c->unsupported);
  return 0;
}

static int show_error(const Err *err) {
  printf("error %s %s\n", err_code_name(err->code), err->message);
  if (err->detail != NULL) printf("detail %s\n", err->detail);
  return 0;
}

static int do_config(const char *host) {
  SshConfig config;
  Buf text = {0};
  Err err = {0};
  size_t got;
  while ((got = fread(buf_reserve(&text, 4096), 1, 4096, stdin)) > 0)
    text.len += got;
  if (ssh_config_parse(&config, host, buf_str(&text), text.len, &err))
    show_config(&config);
  else
    show_error(&err);
  ssh_config_fini(&config);
  ssh_config_fini(&config); /* idempotent */
  err_fini(&err);
  buf_fini(&text);
  return 0;
}

static int do_run(const char *host, const char *file) {
  const char *limit = getenv("LIMIT_MS");
  Loop *loop = loop_new();
  Err err = {0};
  SshConfigOp *op = ssh_config_start(loop, host, file, limit != NULL ? atoi(limit) : 20000);
  while (!op_settled(&op->op))
    loop_turn(loop, true);
  if (op->op.err.code == ERR_NONE)
    show_config(&op->config);
  else
    show_error(&op->op.err);
  op_unref(&op->op);
  for (int i = 0; i < 1000 && op_alive() > 0; i++)
    loop_turn(loop, true);
  if (!loop_free(loop, &err)) printf("leak %s\n", err.message);
  err_fini(&err);
  return 0;
}

static void show_many(Loop *loop, const char *file, char **hosts) {
  SshConfigOp *ops[1000] = {0};
  for (int i = 0; hosts[i] != NULL && i < 1000; i++)
    ops[i] = ssh_config_start(loop, hosts[i], file[0] != '\0' ? file : NULL, 20000);
  for (int i = 0; i < 1000 && ops[i] != NULL; i++) {
    while (!op_settled(&ops[i]->op))
      loop_turn(loop, true);
    printf("== %s\n", hosts[i]);
    if (ops[i]->op.err.code != ERR_NONE) printf("error %s\n", ops[i]->op.err.message);
    for (char **line = ops[i]->config.all; line != NULL && *line != NULL; line++)
      printf("%s\n", *line);
    op_unref(&ops[i]->op);
  }
}

static int do_many(const char *file, char **hosts) {
  const char *edit = getenv("EDIT");
  Loop *loop = loop_new();
  Err err = {0};
  show_many(loop, file, hosts);
  if (edit != NULL && system(edit) == 0) {
    printf("== edited\n");
    show_many(loop, file, hosts);
  }
  for (int i = 0; i < 10000 && op_alive() > 0; i++)
    loop_turn(loop, true);
  if (!loop_free(loop, &err)) printf("leak %s\n", err.message);
  err_fini(&err);
  return 0;
}

static int do_hosts(char **argv) {
  static const char *const states[] = {"ok", "changed", "other", "unknown", "revoked", "authority"};
  char *files[] = {argv[2], NULL};
  unsigned char blob[8192];
  Buf one = {0}, two = {0};
  Err err = {0};
  SshHosts *hosts = ssh_hosts_load(files, &err);
  if (err.code != ERR_NONE) show_error(&err);
  if (strcmp(argv[1], "check") == 0) {
    int len = strlen(argv[5]) < 10000 ? EVP_DecodeBlock(blob, (unsigned char *)argv[5], (int)strlen(argv[5])) : -1;
    for (size_t end = strlen(argv[5]); len > 0 && end > 0 && argv[5][end - 1] == '='; end--)
      len--;
    printf("%s\n", states[ssh_hosts_check(hosts, argv[3], argv[4], blob, len > 0 ? (size_t)len : 0)]);
  } else if (strcmp(argv[1], "types") == 0) {
    ssh_hosts_types(hosts, argv[3], &one);
    printf("%s\n", buf_str(&one));
  } else if (ssh_hosts_known(hosts, argv[3], argv[4], &one, &two)) {
    printf("%s %s\n", buf_str(&one), buf_str(&two));
  }
  ssh_hosts_free(hosts);
  buf_fini(&one);
  buf_fini(&two);
  err_fini(&err);
  return 0;
}

static int do_text(char **argv) {
  Buf text = {0};
  if (strcmp(argv[1], "name") == 0) {
    ssh_hosts_name(argv[2][0] != '\0' ? argv[2] : NULL, argv[3], atoi(argv[4]), &text);
  } else {
    unsigned char blob[8192];
    int len = EVP_DecodeBlock(blob, (unsigned char *)argv[2], (int)strlen(argv[2]));
    for (size_t end = strlen(argv[2]); end > 0 && argv[2][end - 1] == '='; end--)
      len--;
    ssh_hosts_fingerprint(blob, (size_t)len, &text);
  }
  printf("%s\n", buf_str(&text));
  buf_fini(&text);
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 3 && strcmp(argv[1], "many") == 0) return do_many(argv[2], argv + 3);
  if (argc >= 3 && strcmp(argv[1], "config") == 0) return do_config(argv[2]);
  if (argc >= 3 && strcmp(argv[1], "run") == 0) return do_run(argv[2], argc > 3 ? argv[3] : NULL);
  if (argc == 5 && strcmp(argv[1], "name") == 0) return do_text(argv);
  if (argc == 3 && strcmp(argv[1], "print") == 0) return do_text(argv);
  if ((argc == 6 && strcmp(argv[1], "check") == 0) || (argc == 4 && strcmp(argv[1], "types") == 0) ||
      (argc == 5 && strcmp(argv[1], "known") == 0))
    return do_hosts(argv);
  return 2;
}
