/* Messages of permessage-deflate without context takeover (RFC 7692). Each stands for itself, so equal frames hold
 * equal messages: one frame for each room is kept, and only a frame that differs from it is inflated. */
#include "deflate.h"

#if !__has_include(<zlib.h>)
#error "there is no zlib.h; Debian and Ubuntu have it in zlib1g-dev"
#endif
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { KEPT = 1024, LARGEST = 4 << 20 };

typedef struct {
  int room, head_size, tail_size;
  long size;
  char *deflated, head[HEAD], tail[TAIL];
} Kept;

static Kept frames[KEPT];

/* The size of the message, or -1. */
static long inflate_all(const char *deflated, long size, char *message) {
  static z_stream stream;
  static unsigned char end[] = {0, 0, 0xff, 0xff};
  if (!stream.state) inflateInit2(&stream, -MAX_WBITS);
  inflateReset(&stream);
  stream.next_in = (unsigned char *)deflated;
  stream.avail_in = size;
  stream.next_out = (unsigned char *)message;
  stream.avail_out = LARGEST;
  int done = inflate(&stream, Z_SYNC_FLUSH);
  if (done == Z_OK && !stream.avail_in) {
    stream.next_in = end;
    stream.avail_in = sizeof end;
    done = inflate(&stream, Z_SYNC_FLUSH);
  }
  return done != Z_OK || stream.avail_in || !stream.avail_out ? -1 : LARGEST - (long)stream.avail_out;
}

static int keep(Kept *kept, const Client *client) {
  static char message[LARGEST];
  long size = inflate_all(client->deflated, client->size, message);
  if (size < 0) return 0;
  kept->room = client->room;
  kept->size = client->size;
  kept->deflated = realloc(kept->deflated, client->size);
  memcpy(kept->deflated, client->deflated, client->size);
  kept->head_size = size < HEAD ? size : HEAD;
  kept->tail_size = size < TAIL ? size : TAIL;
  memcpy(kept->head, message, kept->head_size);
  memcpy(kept->tail, message + size - kept->tail_size, kept->tail_size);
  return 1;
}

int inflate_message(Client *client) {
  Kept *kept = &frames[client->room % KEPT];
  int is_known = kept->deflated && kept->room == client->room && kept->size == client->size &&
                 !memcmp(kept->deflated, client->deflated, client->size);
  if (!is_known && !keep(kept, client)) return 0;
  client->head_size = kept->head_size;
  client->tail_size = kept->tail_size;
  memcpy(client->head, kept->head, kept->head_size);
  memcpy(client->tail, kept->tail, kept->tail_size);
  return 1;
}
