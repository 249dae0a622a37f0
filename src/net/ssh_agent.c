/* ssh_agent: the agent's protocol (draft-miller-ssh-agent), without blocking: a signature may wait for somebody's finger. The
 * library's own client blocks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/ssh_lib.h"

#define AGENT_MOST_BYTES ((size_t)256 << 10)

struct SshAgent {
  int fd;
  FdWatch *watch;
  Buf question, answer;
  bool asked, failed;
  void (*ready)(void *arg);
  void *arg;
};

static void add_u32(Buf *to, size_t n) {
  unsigned char bytes[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n};
  buf_add(to, bytes, 4);
}

static size_t get_u32(const void *from) {
  const unsigned char *b = from;
  return (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
}

static bool agent_complete(const SshAgent *agent) {
  return agent->answer.len >= 5 && agent->answer.len >= 4 + get_u32(agent->answer.data);
}

static void agent_watch(SshAgent *agent) {
  bool waits = agent->asked && !agent->failed && !agent_complete(agent);
  fdwatch_set(agent->watch, !waits ? 0 : agent->question.len > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
}

static void on_event(void *arg, int events) {
  SshAgent *agent = arg;
  (void)events;
  while (agent->question.len > 0) {
    ssize_t n = send(agent->fd, agent->question.data, agent->question.len, MSG_NOSIGNAL);
    if (n > 0)
      buf_consume(&agent->question, (size_t)n);
    else if (errno == EAGAIN)
      break;
    else if (errno != EINTR) {
      agent->failed = true;
      break;
    }
  }
  for (;;) {
    char *to = buf_reserve(&agent->answer, 16384);
    ssize_t n = recv(agent->fd, to, 16384, 0);
    if (n > 0) {
      agent->answer.len += (size_t)n;
    } else if (n < 0 && errno == EAGAIN) {
      break;
    } else if (n == 0 || errno != EINTR) {
      agent->failed = true;
      break;
    }
  }
  if (agent->answer.len >= 4 && get_u32(agent->answer.data) > AGENT_MOST_BYTES) agent->failed = true;
  agent_watch(agent);
  if (agent->failed || agent_complete(agent)) agent->ready(agent->arg);
}

SshAgent *ssh_agent_open(Loop *loop, const char *path, void (*ready)(void *arg), void *arg) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof address.sun_path) return NULL;
  memcpy(address.sun_path, path, strlen(path));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return NULL;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    return NULL;
  }
  SshAgent *agent = mem_alloc(sizeof *agent);
  agent->fd = fd;
  agent->ready = ready;
  agent->arg = arg;
  agent->watch = fdwatch_open(loop, fd, on_event, agent);
  return agent;
}

void ssh_agent_close(SshAgent *agent) {
  if (agent == NULL) return;
  fdwatch_close(agent->watch);
  close(agent->fd);
  buf_fini(&agent->question);
  buf_fini(&agent->answer);
  free(agent);
}

static void agent_ask(SshAgent *agent, char type) {
  Buf framed = {0};
  add_u32(&framed, agent->question.len + 1);
  buf_add_char(&framed, type);
  buf_add(&framed, buf_str(&agent->question), agent->question.len);
  buf_fini(&agent->question);
  agent->question = framed;
  buf_clear(&agent->answer);
  agent->asked = true;
  agent_watch(agent);
}

void ssh_agent_ask_keys(SshAgent *agent) {
  buf_clear(&agent->question);
  agent_ask(agent, 11); /* SSH_AGENTC_REQUEST_IDENTITIES */
}

void ssh_agent_ask_sign(SshAgent *agent, const void *blob, size_t blob_len, const void *data, size_t len) {
  char type[64] = "";
  buf_clear(&agent->question);
  add_u32(&agent->question, blob_len);
  buf_add(&agent->question, blob, blob_len);
  add_u32(&agent->question, len);
  buf_add(&agent->question, data, len);
  bool rsa = ssh_key_type(blob, blob_len, type) && strcmp(type, "ssh-rsa") == 0;
  add_u32(&agent->question, rsa ? 4 : 0); /* SSH_AGENT_RSA_SHA2_512 */
  agent_ask(agent, 13);                   /* SSH_AGENTC_SIGN_REQUEST */
}

int ssh_agent_answer(SshAgent *agent, const unsigned char **answer, size_t *len) {
  if (agent->failed) return -1;
  if (!agent_complete(agent)) return 0;
  *answer = (const unsigned char *)agent->answer.data + 4;
  *len = get_u32(agent->answer.data);
  return 1;
}
