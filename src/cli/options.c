/* options: see options.h. */
#include "cli/options.h"

#include <lauxlib.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/text.h"

typedef enum OptionKind { OPTION_FLAG, OPTION_TEXT, OPTION_LIST, OPTION_COMMAS, OPTION_CODE } OptionKind;

typedef struct Option {
  const char *name; /* with its dashes */
  char letter;      /* or 0 */
  OptionKind kind;
  size_t offset;       /* of its field in Invocation */
  const char *choices; /* "a b c", or NULL */
} Option;

#define OPTION(field) offsetof(Invocation, field)
static const Option options_known[] = {
    {"--dry-run", 'n', OPTION_FLAG, OPTION(dry_run), NULL},
    {"--yes", 'y', OPTION_FLAG, OPTION(yes), NULL},
    {"--confirm", 0, OPTION_LIST, OPTION(confirm), NULL},
    {"--no-input", 0, OPTION_FLAG, OPTION(no_input), NULL},
    {"--step", 0, OPTION_FLAG, OPTION(step), NULL},
    {"--from", 0, OPTION_TEXT, OPTION(from), NULL},
    {"--until", 0, OPTION_TEXT, OPTION(until), NULL},
    {"--skip", 0, OPTION_COMMAS, OPTION(skip), NULL},
    {"--on-failure", 0, OPTION_TEXT, OPTION(on_failure), "ask stop undo"},
    {"--start-at", 0, OPTION_TEXT, OPTION(start_at), NULL},
    {"--output", 'o', OPTION_TEXT, OPTION(output), "text json jsonl"},
    {"--state", 0, OPTION_TEXT, OPTION(state), NULL},
    {"--color", 0, OPTION_TEXT, OPTION(color), "auto always never"},
    {"--quiet", 'q', OPTION_FLAG, OPTION(quiet), NULL},
    {"--verbose", 'v', OPTION_FLAG, OPTION(verbose), NULL},
    {"--no-rc", 0, OPTION_FLAG, OPTION(no_rc), NULL},
    {"--params", 0, OPTION_LIST, OPTION(params), NULL},
    {"--list", 0, OPTION_FLAG, OPTION(list), NULL},
    {"--help", 'h', OPTION_FLAG, OPTION(help), NULL},
    {"--version", 0, OPTION_FLAG, OPTION(version), NULL},
    {"--eval", 'e', OPTION_CODE, OPTION(code), NULL},
    {"--command", 'c', OPTION_LIST, OPTION(entries), NULL},
};
#define OPTIONS_COUNT (sizeof options_known / sizeof options_known[0])

typedef struct Command {
  const char *name;
  bool takes_file;   /* its first free word is the FILE */
  bool takes_others; /* a procedure's own flags */
} Command;

static const Command options_commands[] = {
    {"run", true, true},      {"plan", true, true},     {"checklist", true, true},    {"runs", false, false},
    {"show", false, false},   {"status", false, false}, {"resume", false, true},      {"undo", false, true},
    {"report", false, false}, {"help", false, false},   {"completion", false, false}, {"lua", true, true},
    {"shell", false, false},  {"eval", false, true},    {"stdin", false, true},
};
#define COMMANDS_COUNT (sizeof options_commands / sizeof options_commands[0])
/* "eval" and "stdin" are what -e and - lead to, not words to type. */
#define COMMANDS_TYPED (COMMANDS_COUNT - 2)

typedef struct Parser {
  Invocation *to;
  const Command *command; /* NULL: not known yet */
  char **argv;
  int argc, next;
  bool ended; /* "--" was seen */
  Err *err;
} Parser;

static void words_add(OptionsWords *words, const char *text, size_t len) {
  Buf copy = {0};
  buf_add(&copy, text, len);
  words->items = mem_realloc(words->items, (words->count + 1) * sizeof *words->items);
  words->items[words->count++] = buf_take(&copy);
}

static void words_add_text(OptionsWords *words, const char *text) { words_add(words, text, strlen(text)); }

static void words_remove(OptionsWords *words, size_t index) {
  free(words->items[index]);
  words->count--;
  memmove(&words->items[index], &words->items[index + 1], (words->count - index) * sizeof *words->items);
}

static void words_fini(OptionsWords *words) {
  for (size_t i = 0; i < words->count; i++)
    free(words->items[i]);
  free(words->items);
}

static const Command *command_find(const char *name, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(options_commands[i].name, name) == 0) return &options_commands[i];
  return NULL;
}

/* `len` bytes of `word` are the name. */
static const Option *option_find(const char *word, size_t len) {
  for (size_t i = 0; i < OPTIONS_COUNT; i++)
    if (strlen(options_known[i].name) == len && strncmp(options_known[i].name, word, len) == 0) return &options_known[i];
  return NULL;
}

static const Option *option_by_letter(char letter) {
  for (size_t i = 0; letter != '\0' && i < OPTIONS_COUNT; i++)
    if (options_known[i].letter == letter) return &options_known[i];
  return NULL;
}

static bool option_fail(Parser *parser, const Option *option, const char *value, size_t count, const char *const *choices) {
  Buf list = {0};
  const char *nearest = text_nearest(value, choices, count);
  for (size_t i = 0; i < count; i++)
    buf_printf(&list, "%s%s", i == 0 ? "" : i + 1 < count ? ", " : " or ", choices[i]);
  err_set(parser->err, ERR_USAGE, "%s takes %s, not \"%s\"%s%s%s", option->name, buf_str(&list), value,
          nearest != NULL ? " (did you mean " : "", nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "");
  buf_fini(&list);
  return false;
}

static bool option_check(Parser *parser, const Option *option, const char *value) {
  char words[64];
  const char *choices[4] = {0};
  size_t count = 0;
  if (option->choices == NULL) return true;
  size_t len = strlen(option->choices);
  memcpy(words, option->choices, len + 1);
  for (char *p = words; p < words + len && count < 4; p += strlen(p) + 1) {
    char *space = strchr(p, ' ');
    if (space != NULL) *space = '\0';
    if (strcmp(p, value) == 0) return true;
    choices[count++] = p;
  }
  return option_fail(parser, option, value, count, choices);
}

static void option_add_commas(OptionsWords *words, const char *value) {
  while (*value != '\0') {
    size_t len = strcspn(value, ",");
    if (len > 0) words_add(words, value, len);
    value += len + (value[len] == ',');
  }
}

/* `value` is NULL for a flag only. */
static bool option_set(Parser *parser, const Option *option, const char *value) {
  void *field = (char *)parser->to + option->offset;
  if (value == NULL) {
    *(bool *)field = true;
    return true;
  }
  if (!option_check(parser, option, value)) return false;
  switch (option->kind) {
  case OPTION_FLAG: *(bool *)field = true; break;
  case OPTION_TEXT:
    free(*(char **)field);
    *(char **)field = mem_strdup(value);
    break;
  case OPTION_LIST: words_add_text(field, value); break;
  case OPTION_COMMAS: option_add_commas(field, value); break;
  case OPTION_CODE:
    if (parser->to->has_code) buf_add_char(field, '\n');
    buf_add_str(field, value);
    parser->to->has_code = true;
    break;
  }
  return true;
}

/* `value` is what stood behind '=', or NULL: then it is the next word. */
static bool option_take(Parser *parser, const Option *option, const char *value) {
  if (option->kind == OPTION_FLAG) {
    if (value != NULL) return err_set(parser->err, ERR_USAGE, "%s takes no value", option->name);
    return option_set(parser, option, NULL);
  }
  if (value == NULL && parser->next >= parser->argc) return err_set(parser->err, ERR_USAGE, "%s needs a value", option->name);
  return option_set(parser, option, value != NULL ? value : parser->argv[parser->next++]);
}

static bool option_refuse(Parser *parser, const char *word) {
  const char *names[OPTIONS_COUNT];
  for (size_t i = 0; i < OPTIONS_COUNT; i++)
    names[i] = options_known[i].name;
  Buf name = {0};
  buf_add(&name, word, strcspn(word, "="));
  const char *nearest = text_nearest(buf_str(&name), names, OPTIONS_COUNT);
  err_set(parser->err, ERR_USAGE, "unknown option %s%s%s%s", buf_str(&name), nearest != NULL ? " (did you mean " : "",
          nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "");
  buf_fini(&name);
  return false;
}

/* An option that is not pgsh's, and the word behind it, which may be its value. A command's name in front of any file is none:
 * `pgsh --rehearse plan FILE` must never become a run. */
static bool option_leave(Parser *parser, const char *word) {
  words_add_text(&parser->to->rest, word);
  if (word[1] != '-' || strchr(word, '=') != NULL || parser->next >= parser->argc) return true;
  const char *value = parser->argv[parser->next];
  if (value[0] == '-' && value[1] != '\0') return true;
  if (parser->command == NULL && command_find(value, COMMANDS_TYPED) != NULL) return true;
  words_add_text(&parser->to->rest, value);
  parser->next++;
  return true;
}

/* -nv, -ojson, -e CODE. A letter that is not known makes the whole word somebody else's. */
static bool option_letters(Parser *parser, const char *word) {
  for (const char *p = word + 1; *p != '\0'; p++) {
    const Option *option = option_by_letter(*p);
    if (option == NULL) return option_leave(parser, word);
    if (option->kind != OPTION_FLAG) break;
  }
  for (const char *p = word + 1; *p != '\0'; p++) {
    const Option *option = option_by_letter(*p);
    if (option->kind != OPTION_FLAG) return option_take(parser, option, p[1] != '\0' ? p + 1 : NULL);
    if (!option_set(parser, option, NULL)) return false;
  }
  return true;
}

static bool option_parse(Parser *parser, const char *word) {
  if (word[1] != '-') return option_letters(parser, word);
  size_t len = strcspn(word, "=");
  const Option *option = option_find(word, len);
  if (option == NULL) return option_leave(parser, word);
  return option_take(parser, option, word[len] == '=' ? word + len + 1 : NULL);
}

/* A first word that is neither a command nor a file may be a command with a typing error. */
static bool word_check(Parser *parser, const char *word) {
  const char *names[COMMANDS_TYPED], *nearest;
  if (strpbrk(word, "/.") != NULL || access(word, F_OK) == 0) return true;
  for (size_t i = 0; i < COMMANDS_TYPED; i++)
    names[i] = options_commands[i].name;
  nearest = text_nearest(word, names, COMMANDS_TYPED);
  if (nearest == NULL) return true;
  return err_set(parser->err, ERR_USAGE, "%s is neither a file nor a command (did you mean %s?)", word, nearest);
}

static bool word_take(Parser *parser, const char *word) {
  if (parser->command == NULL && !parser->to->has_code) {
    const char *name = strcmp(word, "-") == 0 ? "stdin" : "run";
    const Command *command = parser->ended ? NULL : command_find(word, COMMANDS_TYPED);
    parser->command = command != NULL ? command : command_find(name, COMMANDS_COUNT);
    if (command != NULL || name[0] == 's') return true;
    if (!parser->ended && !word_check(parser, word)) return false;
  }
  if (parser->command != NULL && parser->command->takes_file && parser->to->file == NULL)
    parser->to->file = word;
  else
    words_add_text(&parser->to->words, word);
  return true;
}

/* `pgsh lua FILE ARGS…`: everything behind FILE is the program's. */
static bool parser_is_lua(const Parser *parser) {
  return parser->command != NULL && strcmp(parser->command->name, "lua") == 0 && parser->to->file != NULL;
}

static bool parser_words(Parser *parser) {
  while (parser->next < parser->argc) {
    const char *word = parser->argv[parser->next++];
    if (parser_is_lua(parser))
      words_add_text(&parser->to->words, word);
    else if (!parser->ended && strcmp(word, "--") == 0)
      parser->ended = true;
    else if (!parser->ended && word[0] == '-' && word[1] != '\0') {
      if (!option_parse(parser, word)) return false;
    } else if (!word_take(parser, word)) {
      return false;
    }
  }
  return true;
}

/* `pgsh --rehearse FILE.lua`: the word behind an unknown flag was the FILE after all. */
static void parser_find_file(Parser *parser) {
  Invocation *to = parser->to;
  bool wants = parser->command == NULL ? !to->has_code && to->entries.count == 0 : parser->command->takes_file;
  for (size_t i = 0; wants && to->file == NULL && i < to->rest.count; i++) {
    const char *word = to->rest.items[i], *dot = strrchr(word, '.');
    if (word[0] == '-' || dot == NULL || strcmp(dot, ".lua") != 0) continue;
    for (int j = 1; j < parser->argc; j++)
      if (strcmp(parser->argv[j], word) == 0) to->file = parser->argv[j]; /* argv lives longer than rest */
    words_remove(&to->rest, i);
    if (parser->command == NULL) parser->command = command_find("run", COMMANDS_COUNT);
  }
}

static bool parser_settle(Parser *parser) {
  Invocation *to = parser->to;
  parser_find_file(parser);
  if (to->has_code && parser->command == NULL) parser->command = command_find("eval", COMMANDS_COUNT);
  if (to->has_code && strcmp(parser->command->name, "eval") != 0)
    return err_set(parser->err, ERR_USAGE, "-e does not go together with %s", parser->command->name);
  if (to->entries.count > 0 && parser->command == NULL) parser->command = command_find("shell", COMMANDS_COUNT);
  if (to->entries.count > 0 && strcmp(parser->command->name, "shell") != 0)
    return err_set(parser->err, ERR_USAGE, "-c does not go together with %s", parser->command->name);
  if (parser->command == NULL) parser->command = command_find(to->help || to->version ? "help" : "shell", COMMANDS_COUNT);
  if (!parser->command->takes_others && to->rest.count > 0) return option_refuse(parser, to->rest.items[0]);
  bool plan = to->dry_run && strcmp(parser->command->name, "run") == 0;
  to->command = plan ? "plan" : parser->command->name;
  return true;
}

bool options_parse(Invocation *invocation, int argc, char **argv, Err *err) {
  memset(invocation, 0, sizeof *invocation);
  Parser parser = {.to = invocation, .argv = argv, .argc = argc, .next = 1, .err = err};
  return parser_words(&parser) && parser_settle(&parser);
}

void options_fini(Invocation *invocation) {
  char *texts[] = {invocation->from,   invocation->until, invocation->on_failure, invocation->start_at,
                   invocation->output, invocation->state, invocation->color};
  OptionsWords *lists[] = {&invocation->words, &invocation->rest,   &invocation->confirm,
                           &invocation->skip,  &invocation->params, &invocation->entries};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    free(texts[i]);
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
    words_fini(lists[i]);
  buf_fini(&invocation->code);
  memset(invocation, 0, sizeof *invocation);
}

static void options_push_words(lua_State *L, const OptionsWords *words) {
  lua_createtable(L, (int)words->count, 0);
  for (size_t i = 0; i < words->count; i++) {
    lua_pushstring(L, words->items[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void options_push_value(lua_State *L, const Invocation *invocation, const Option *option) {
  const void *field = (const char *)invocation + option->offset;
  switch (option->kind) {
  case OPTION_FLAG: lua_pushboolean(L, *(const bool *)field); break;
  case OPTION_TEXT: lua_pushstring(L, *(char *const *)field); break; /* NULL is pushed as nil */
  case OPTION_LIST:
  case OPTION_COMMAS: options_push_words(L, field); break;
  case OPTION_CODE: lua_pushnil(L); break;
  }
}

/* "--dry-run" is options.dry_run. */
static void options_push_options(lua_State *L, const Invocation *invocation) {
  lua_createtable(L, 0, OPTIONS_COUNT);
  for (size_t i = 0; i < OPTIONS_COUNT; i++) {
    char key[24] = "";
    strncpy(key, options_known[i].name + 2, sizeof key - 1);
    for (char *p = key; *p != '\0'; p++)
      if (*p == '-') *p = '_';
    options_push_value(L, invocation, &options_known[i]);
    lua_setfield(L, -2, key);
  }
}

static void options_push_known(lua_State *L) {
  lua_createtable(L, OPTIONS_COUNT, 0);
  for (size_t i = 0; i < OPTIONS_COUNT; i++) {
    lua_pushstring(L, options_known[i].name);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

void options_push(const Invocation *invocation, lua_State *L) {
  lua_createtable(L, 0, 8);
  lua_pushstring(L, invocation->command);
  lua_setfield(L, -2, "command");
  lua_pushstring(L, invocation->file);
  lua_setfield(L, -2, "file");
  options_push_words(L, &invocation->words);
  lua_setfield(L, -2, "words");
  options_push_words(L, &invocation->rest);
  lua_setfield(L, -2, "rest");
  options_push_options(L, invocation);
  if (invocation->has_code) {
    lua_pushlstring(L, buf_str(&invocation->code), invocation->code.len);
    lua_setfield(L, -2, "code");
  }
  lua_setfield(L, -2, "options");
  options_push_known(L);
  lua_setfield(L, -2, "known");
}
