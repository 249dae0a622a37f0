/* api: see api.h. */
#include "api/api.h"

static const VmModule api_modules[] = {
    {"pgsh.file", luaopen_pgsh_file},
    {"pgsh.gzip", luaopen_pgsh_gzip},
    {"pgsh.hash", luaopen_pgsh_hash},
    {"pgsh.host", luaopen_pgsh_host},
    {"pgsh.http", luaopen_pgsh_http},
    {"pgsh.json", luaopen_pgsh_json},
    {"pgsh.pipe", luaopen_pgsh_pipe},
    {"pgsh.psql", luaopen_pgsh_psql},
    {"pgsh.secret", luaopen_pgsh_secret},
    {"pgsh.sh", luaopen_pgsh_sh},
    {"pgsh.ssh.core", luaopen_pgsh_ssh_core},
    {"pgsh.yaml", luaopen_pgsh_yaml},
    {NULL, NULL},
};

void api_open(Vm *vm) { vm_add_modules(vm, api_modules); }
