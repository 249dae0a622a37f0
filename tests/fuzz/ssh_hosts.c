/* The reader of known_hosts over any bytes, and every question about two names. A key that is known must be among the types that
 * are offered, and a line put in front that revokes it must win. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net/ssh_hosts.h"

#define KEY "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

/* The wire form of KEY. */
static size_t fuzz_key(unsigned char *blob) {
  static const unsigned char head[] = "\0\0\0\013ssh-ed25519\0\0\0\040";
  memcpy(blob, head, sizeof head - 1);
  for (size_t i = 0; i < 32; i++)
    blob[sizeof head - 1 + i] = (unsigned char)i;
  return sizeof head - 1 + 32;
}

static void fuzz_ask(const SshHosts *hosts, const char *name, bool revoked) {
  unsigned char blob[64];
  size_t len = fuzz_key(blob);
  Buf list = {0}, where = {0}, print = {0};
  SshHostState state = ssh_hosts_check(hosts, name, "ssh-ed25519", blob, len);
  ssh_hosts_types(hosts, name, &list);
  bool known = ssh_hosts_known(hosts, name, "ssh-ed25519", &where, &print);
  if (revoked && state != SSH_HOST_REVOKED) abort();
  if (state == SSH_HOST_OK && strstr(buf_str(&list), "ssh-ed25519") == NULL) abort();
  if (state == SSH_HOST_CHANGED && !known) abort();
  if (known && (state == SSH_HOST_UNKNOWN || print.len != 50)) abort();
  ssh_hosts_check(hosts, name, "rsa-sha2-512", blob, len);
  buf_fini(&list);
  buf_fini(&where);
  buf_fini(&print);
}

static void fuzz_text(const char *text, size_t len, bool revoked) {
  SshHosts *hosts = ssh_hosts_parse(text, len);
  fuzz_ask(hosts, "db1", revoked);
  fuzz_ask(hosts, "[db1.example]:2222", revoked);
  ssh_hosts_free(hosts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Buf text = {0};
  fuzz_text((const char *)data, size, false);
  buf_add_str(&text, "@revoked * ssh-ed25519 " KEY "\r\n");
  buf_add(&text, data, size);
  fuzz_text(buf_str(&text), text.len, true);
  buf_fini(&text);
  return 0;
}
