/* ssh: what the files of api/ssh share: the handle, and a command in the making. */
#ifndef PGSH_API_SSH_H
#define PGSH_API_SSH_H

#include <lua.h>

#include "api/sh.h"
#include "net/ssh.h"
#include "run/guard.h"
#include "vm/vm.h"

#define SSH_HANDLE_NAME "pgsh.Ssh"
#define SSH_LINES_NAME "pgsh.SshLines"

/* Whom a command runs as. */
typedef struct SshBecome {
  char *user, *password; /* NULL: who logs in; sudo asks for none */
} SshBecome;

/* What ssh(…) returns. */
typedef struct SshHandle {
  Ssh *ssh; /* NULL: closed */
  Vm *vm;
  Target *target; /* borrowed from the guard */
  SshBecome become;
  int64_t timeout_ms;
} SshHandle;

/* One command: the door's argument userdata, or a part's own. */
typedef struct SshArgs {
  ShArgs sh;
  SshBecome become;
  SshHandle *handle; /* anchored by whoever keeps the args */
  bool read;
} SshArgs;

/* ssh.c: the handle at index, open. Raises. */
SshHandle *ssh_check(lua_State *L, int index);

/* ssh_args.c */
void ssh_become_fini(SshBecome *become);
/* options.become: a user, or { user, password = … }. Raises. */
void ssh_args_become(lua_State *L, SshBecome *become, int options);
void ssh_args_fini(void *args);
/* The command at 2 and the options into args, whose handle is set. Raises. */
void ssh_args_fill(lua_State *L, SshArgs *args, int options, bool change);
/* For ssh_exec: a copy, since the door may start it again. */
SshSpec ssh_args_spec(const SshArgs *args);
/* A userdata of its own; at the top of the stack. */
SshArgs *ssh_args_new(lua_State *L, SshHandle *handle);

/* ssh_call.c, ssh_parts.c, ssh_lines.c: methods. */
int l_ssh_read(lua_State *L);
int l_ssh_run(lua_State *L);
int l_ssh_output(lua_State *L);
int l_ssh_input(lua_State *L);
int l_ssh_sink(lua_State *L);
int l_ssh_lines(lua_State *L);
void ssh_lines_open(lua_State *L);

#endif
