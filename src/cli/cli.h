/* cli: the command line: options → host → engine → exit status. */
#ifndef PGSH_CLI_CLI_H
#define PGSH_CLI_CLI_H

/* All of pgsh. Returns the exit status (README: exit statuses). */
int cli_main(int argc, char **argv);

#endif
