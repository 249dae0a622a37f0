/* pg_note: see pg_note.h. */
#include "net/pg_note.h"

#include <string.h>

#define DIGITS "0123456789"
#define HEX DIGITS "ABCDEF"

typedef struct NoteField {
  const char *key, *alphabet;
  size_t at, size;
} NoteField;

#define FIELD(name, alphabet)                                                                                                    \
  { #name, alphabet, offsetof(PgNote, name), sizeof((PgNote *)0)->name }

/* In the order of writing, which is the only one that is read. The first must be there. */
static const NoteField note_fields[] = {
    FIELD(xid, DIGITS), FIELD(lsn, HEX "/"), FIELD(timeline, HEX), FIELD(epoch, DIGITS "."), FIELD(system, DIGITS),
};

#define NOTE_FIELDS (sizeof note_fields / sizeof note_fields[0])

void pg_note_write(const PgNote *note, Buf *out) {
  buf_printf(out, "xid=%s", note->xid[0] != '\0' ? note->xid : "none");
  for (size_t i = 1; i < NOTE_FIELDS; i++) {
    const char *value = (const char *)note + note_fields[i].at;
    if (value[0] != '\0') buf_printf(out, " %s=%s", note_fields[i].key, value);
  }
}

/* "key=value" in front of a blank or the end: what follows, or NULL. */
static const char *note_field(const char *text, const NoteField *field, char *value) {
  size_t key = strlen(field->key);
  if (strncmp(text, field->key, key) != 0 || text[key] != '=') return NULL;
  text += key + 1;
  if (field == note_fields && strncmp(text, "none", 4) == 0) {
    text += 4;
  } else {
    size_t len = strspn(text, field->alphabet);
    if (len == 0 || len >= field->size) return NULL;
    memcpy(value, text, len);
    text += len;
  }
  return *text == ' ' || *text == '\0' ? text : NULL;
}

bool pg_note_read(const char *text, PgNote *note) {
  memset(note, 0, sizeof *note);
  for (size_t i = 0; i < NOTE_FIELDS; i++) {
    const char *rest = note_field(text, &note_fields[i], (char *)note + note_fields[i].at);
    if (rest == NULL && i == 0) return false;
    if (rest == NULL) continue;
    if (*rest == '\0') return true;
    text = rest + 1;
  }
  return false;
}
