/* ssh_wrap: what is really run on the far side.
 *
 * An ssh server does not end a command when its line is closed, and libssh2 1.10 cannot send a signal over a channel. So each
 * command is begun by a few lines of POSIX shell, the prelude, that say on standard error which process group it runs in; it is
 * ended by a second command that kills that group. The line is recognised by a random word and taken out again.
 *
 *   exec [sudo …] /bin/sh -c 'eval "$1"' sh PRELUDE COMMAND
 *
 * `exec /bin/sh` because a login shell may be anything. Once a prelude has told that it is a POSIX shell, a command that means
 * the same to all of them is given to it as it is, which saves the far side a third of the work. The prelude makes a group of its
 * own where the server did not (sudo, dropbear) and the far side has setsid. An environment goes over standard input, in front of
 * the command's own, as lines that the prelude reads with the shell's `read`, which takes no byte too much from a pipe: what is
 * secret is in no argument. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "net/ssh_internal.h"

/* A longer command goes over standard input: a packet of the library holds 35,000 bytes. */
#define WRAP_LINE_BYTES 12000

void ssh_quote(Buf *line, const char *word) {
  buf_add_char(line, '\'');
  for (const char *c = word; *c != '\0'; c++) {
    if (*c == '\'')
      buf_add_str(line, "'\\''");
    else
      buf_add_char(line, *c);
  }
  buf_add_char(line, '\'');
}

static char *wrap_word(void) {
  unsigned char bytes[9];
  if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) abort();
  Buf word = {0};
  buf_add_str(&word, "pgsh-");
  for (size_t i = 0; i < sizeof bytes; i++)
    buf_printf(&word, "%02x", bytes[i]);
  return buf_take(&word);
}

/* The shell's variables begin with __, so that none of the command's own environment is touched. $1: this text, $2: the command,
 * $3: it was tried already to get a group. */
static void wrap_prelude(const SshCmd *cmd, bool reads, Buf *text) {
  buf_add_str(text, "__g=\n"
                    "{ read -r __p __p __p __p __g __p </proc/$$/stat; } 2>/dev/null\n"
                    "[ -n \"$__g\" ] || __g=$(ps -o pgid= -p $$ 2>/dev/null | tr -d \" \")\n"
                    "if [ \"$__g\" != $$ ] && [ -z \"$3\" ] && command -v setsid >/dev/null 2>&1; then\n"
                    "exec setsid /bin/sh -c \"eval \\\"\\$1\\\"\" sh \"$1\" \"$2\" x\nfi\n");
  if (cmd->spec.cwd != NULL) {
    buf_add_str(text, "CDPATH= cd -- ");
    ssh_quote(text, cmd->spec.cwd);
    buf_add_str(text, " || exit 126\n");
  }
  buf_printf(text, "echo \"%s $$ $__g ${SHELL##*/}\" >&2\n", cmd->word);
  if (reads)
    buf_printf(text,
               "__p=\nwhile IFS= read -r __l && [ \"$__l\" != %s ]; do __p=\"$__p$__l\n\"\ndone\n"
               "[ \"$__l\" = %s ] || exit 126\neval \"$__p\"\n",
               cmd->word, cmd->word);
  if (cmd->spec.stream_in) /* a stream of which something is left unread was not taken as a whole */
    buf_printf(text,
               "( eval \"unset __g __l __p\nset --\n${__c-$2}\" )\n__l=$?\n"
               "[ $__l != 0 ] || [ $(dd bs=1 count=1 2>/dev/null | wc -c) -eq 0 ] || echo %s unread >&2\nexit $__l",
               cmd->word);
  else
    buf_add_str(text, "eval \"unset __g __l __p\nset --\n${__c-$2}\"");
}

/* The lines the prelude reads: shell code that exports the environment. */
static void wrap_lines(SshCmd *cmd, bool long_line) {
  Buf *in = &cmd->in.bytes;
  for (char **entry = cmd->spec.env; entry != NULL && *entry != NULL; entry++) {
    size_t len = strcspn(*entry, "=");
    buf_add_str(in, (*entry)[len] == '=' ? "export " : "unset ");
    buf_add(in, *entry, len);
    if ((*entry)[len] == '=') {
      buf_add_char(in, '=');
      ssh_quote(in, *entry + len + 1);
    }
    buf_add_char(in, '\n');
  }
  if (long_line) {
    buf_add_str(in, "__c=");
    ssh_quote(in, cmd->spec.command);
    buf_add_char(in, '\n');
  }
  buf_printf(in, "%s\n", cmd->word);
}

static void wrap_sudo(const SshCmd *cmd, Buf *line) {
  /* The prompt is a word of its own, so that a password is only sent when one is asked for, and only once. */
  if (cmd->spec.become_password != NULL)
    buf_printf(line, "sudo -S -p '%s? ' -u ", cmd->word);
  else
    buf_add_str(line, "sudo -n -u ");
  ssh_quote(line, cmd->spec.become);
  buf_add_str(line, " -- ");
}

static bool wrap_is_long(const SshCmd *cmd) { return strlen(cmd->spec.command) > WRAP_LINE_BYTES; }
static bool wrap_reads(const SshCmd *cmd) { return cmd->spec.env != NULL || wrap_is_long(cmd); }

static bool wrap_is_posix(const char *shell) {
  static const char *const known[] = {"bash", "dash", "sh", "ash", "ksh", "mksh"};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strcmp(shell, known[i]) == 0) return true;
  return false;
}

void ssh_wrap_begin(SshCmd *cmd) {
  cmd->word = wrap_word();
  if (wrap_reads(cmd)) wrap_lines(cmd, wrap_is_long(cmd));
  cmd->in_held = cmd->spec.become_password != NULL;
}

void ssh_wrap_line(SshCmd *cmd, const char *shell) {
  Buf line = {0}, prelude = {0};
  bool direct = cmd->spec.simple && cmd->spec.become == NULL && wrap_is_posix(shell);
  wrap_prelude(cmd, wrap_reads(cmd), &prelude);
  buf_add_str(&line, direct ? "set -- " : "exec ");
  if (cmd->spec.become != NULL) wrap_sudo(cmd, &line);
  if (!direct) buf_add_str(&line, "/bin/sh -c 'eval \"$1\"' sh ");
  ssh_quote(&line, buf_str(&prelude));
  buf_add_char(&line, ' ');
  ssh_quote(&line, wrap_is_long(cmd) ? "" : cmd->spec.command);
  if (direct) buf_add_str(&line, "; eval \"$1\"");
  free(cmd->line);
  cmd->line = buf_take(&line);
  buf_fini(&prelude);
}

void ssh_wrap_kill(const SshCmd *cmd, Buf *command) {
  Buf whom = {0};
  buf_printf(&whom, "%s%ld", cmd->far_group ? "-" : "", cmd->far_pid);
  const char *id = buf_str(&whom);
  buf_printf(command,
             "kill -TERM %s 2>/dev/null || exit 0\n__i=0\n"
             "while kill -0 %s 2>/dev/null && [ $__i -lt 20 ]; do sleep 0.1 2>/dev/null || { sleep 1; __i=$((__i + 9)); }\n"
             "__i=$((__i + 1)); done\nkill -KILL %s 2>/dev/null\nexit 0",
             id, id, id);
  buf_fini(&whom);
}
