/* versions: see versions.h. */
#include "api/versions.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <jansson.h>
#include <libdeflate.h>
#include <libpq-fe.h>
#include <libssh2.h>
#include <lua.h>
#include <openssl/crypto.h>
#include <string.h>
#include <uv.h>
#include <yaml.h>
#include <zlib.h>

static void version_add(Buf *out, const char *name, const char *version) {
  buf_printf(out, "%-12s %s\n", name, version != NULL ? version : "?");
}

/* It is loaded with the first line that is read. */
static const char *version_readline(void) {
  void *library = dlopen("libreadline.so.8", RTLD_LAZY | RTLD_NOLOAD);
  const char *const *version = library != NULL ? dlsym(library, "rl_library_version") : NULL;
  const char *text = version != NULL ? *version : "not loaded";
  if (library != NULL) dlclose(library); /* who loaded it holds it */
  return text;
}

void versions_add(Buf *out) {
  char pg[32];
  snprintf(pg, sizeof pg, "%d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
  version_add(out, "pgsh", PGSH_VERSION);
  version_add(out, "Lua", strchr(LUA_RELEASE, ' ') + 1);
  version_add(out, "libpq", pg);
  version_add(out, "libcurl", curl_version_info(CURLVERSION_NOW)->version);
  version_add(out, "libssh2", libssh2_version(0));
  version_add(out, "libuv", uv_version_string());
  version_add(out, "OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING));
  version_add(out, "readline", version_readline());
  version_add(out, "zlib", zlibVersion());
  version_add(out, "libdeflate", LIBDEFLATE_VERSION_STRING);
  version_add(out, "jansson", jansson_version_str());
  version_add(out, "libyaml", yaml_get_version_string());
}
