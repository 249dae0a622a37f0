/* end_ssh: a far command's standard output as source, its standard input as sink: as end_proc, over an ssh handle. */
#include <stdlib.h>

#include "base/buf.h"
#include "stream/end_child.h"

typedef struct SshEnd {
  EndChild child;
  Ssh *ssh; /* NULL: closed, or begun: it may be closed from then on */
  SshSpec spec;
} SshEnd;

static SshOp *end_op(const EndChild *child) { return (SshOp *)child->op; }

static ssize_t far_read(EndChild *child, char *to, size_t size) { return ssh_read(end_op(child), to, size); }
static ssize_t far_write(EndChild *child, const char *bytes, size_t len) { return ssh_write(end_op(child), bytes, len); }
static void far_write_end(EndChild *child) { ssh_write_end(end_op(child)); }
static const ProcResult *far_result(const EndChild *child) { return &end_op(child)->result; }

static const EndChildWay far_way = {.read = far_read, .write = far_write, .write_end = far_write_end, .result = far_result};

static void on_ready(void *arg) { end_child_ready(arg); }

static bool end_open(Stage *stage, Loop *loop, Err *err) {
  SshEnd *end = (SshEnd *)stage;
  end->child.loop = loop;
  if (end->ssh == NULL) return err_set(err, ERR_CLOSED, "the handle is closed");
  end->spec.stream_in = end->child.input;
  end->spec.stream_out = !end->child.input;
  end->spec.line = end->child.lines.line;
  end->spec.line_arg = end->child.lines.arg;
  end->spec.ready = on_ready;
  end->spec.ready_arg = end;
  end_child_begin(&end->child, &ssh_exec(end->ssh, &end->spec, 0, NULL)->op);
  end->ssh = NULL;
  return true;
}

static void end_free(Stage *stage) {
  SshEnd *end = (SshEnd *)stage;
  if (end->child.op != NULL) ssh_quiet(end_op(&end->child));
  end_child_fini(&end->child);
  ssh_spec_fini(&end->spec);
  free(end);
}

static const StageClass output_class = {.kind = "output",
                                        .open = end_open,
                                        .pull = end_child_pull,
                                        .stop = end_child_stop,
                                        .lines_done = end_child_lines_over,
                                        .free = end_free};
static const StageClass input_class = {.kind = "input",
                                       .open = end_open,
                                       .put = end_child_put,
                                       .finish = end_child_finish,
                                       .stop = end_child_stop,
                                       .leaves = STAGE_LEAVES_PARTS,
                                       .lines_done = end_child_lines_over,
                                       .free = end_free};
static const StageClass whole_class = {.kind = "input",
                                       .open = end_open,
                                       .put = end_child_put,
                                       .finish = end_child_finish,
                                       .stop = end_child_stop,
                                       .leaves = STAGE_LEAVES_WHOLE,
                                       .lines_done = end_child_lines_over,
                                       .free = end_free};

static Stage *end_new(const StageClass *cls, Ssh *ssh, SshSpec spec, EndLines lines, bool input) {
  SshEnd *end = mem_alloc(sizeof *end);
  end_child_init(&end->child, cls, spec.name, &far_way, lines, input);
  end->ssh = ssh;
  end->spec = spec;
  return &end->child.stage;
}

Stage *end_ssh_output(Ssh *ssh, SshSpec spec, EndLines lines) { return end_new(&output_class, ssh, spec, lines, false); }
Stage *end_ssh_input(Ssh *ssh, SshSpec spec, EndLines lines) { return end_new(&input_class, ssh, spec, lines, true); }
Stage *end_ssh_whole_input(Ssh *ssh, SshSpec spec, EndLines lines) { return end_new(&whole_class, ssh, spec, lines, true); }
