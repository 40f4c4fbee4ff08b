/* Engine.IO 4 and Socket.IO 5 over WebSocket, as little of them as a load needs, by one thread and epoll. */
#define _GNU_SOURCE
#include "client.h"

#include "deflate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10, DEFLATED = 0x40 };
enum { ADDRESSES = 60, LARGE = 8192, MOST_COMPLAINTS = 3 };

Setup setup;
int open_clients, failed_clients, lost_clients;
long received_bytes, deflated_frames, patches;
static int poller;

static const char REQUEST[] =
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
static const char OFFER[] =
    "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n";

double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

void start_polling(void) {
  struct rlimit files = {60000, 60000};
  setrlimit(RLIMIT_NOFILE, &files);
  signal(SIGPIPE, SIG_IGN);
  poller = epoll_create1(0);
}

static void complain(const char *what, const char *text) {
  static int complaints;
  if (complaints++ < MOST_COMPLAINTS) fprintf(stderr, "%s: %.120s\n", what, text);
}

/* With many refusals a second the ports of the one address that other hosts see would run out in TIME-WAIT. */
static void close_at_once(int fd) {
  struct linger none = {.l_onoff = 1};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  close(fd);
}

static void drop(Client *client) {
  if (client->state == CLOSED) return;
  if (client->state == JOINED) lost_clients++;
  else if (client->state != CLOSING) failed_clients++;
  if (client->state == UPGRADING && setup.host) close_at_once(client->fd);
  else close(client->fd);
  client->is_unreachable = client->state == CONNECTING;
  client->state = CLOSED;
  open_clients--;
}

static void send_frame(Client *client, int opcode, const char *payload, int size) {
  static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
  unsigned char frame[512];
  int length = 2;
  if (size > (int)sizeof frame - 8) abort();
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (size < 126 ? size : 126);
  if (size >= 126) {
    frame[2] = size >> 8;
    frame[3] = size & 255;
    length = 4;
  }
  memcpy(frame + length, mask, 4);
  length += 4;
  for (int i = 0; i < size; i++) frame[length + i] = payload[i] ^ mask[i & 3];
  if (send(client->fd, frame, length + size, MSG_NOSIGNAL) != length + size) complain("send", strerror(errno));
}

void send_text(Client *client, const char *text) { send_frame(client, TEXT, text, strlen(text)); }

void close_client(Client *client) {
  send_frame(client, CLOSE, "\x03\xe8", 2);
  client->state = CLOSING;
}

/* Clients come from many addresses on loopback, as one would run out of ports. */
void connect_client(Client *client, int room, int sends_only) {
  static int connected;
  int one = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + connected++ % ADDRESSES)};
  memset(client->header, 0, sizeof client->header);
  client->header_size = client->head_size = client->tail_size = 0;
  client->missing = client->size = client->version = 0;
  client->room = room;
  client->sends_only = sends_only;
  client->round = -1;
  client->state = CONNECTING;
  client->began = now();
  client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (client->fd < 0) {
    perror("socket");
    exit(1);
  }
  open_clients++;
  setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  if (!setup.host) bind(client->fd, (struct sockaddr *)&address, sizeof address);
  address.sin_addr.s_addr = setup.host ? setup.host : htonl(INADDR_LOOPBACK);
  address.sin_port = htons(sends_only ? setup.senders_port : setup.port);
  if (connect(client->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
    complain("connect", strerror(errno));
    drop(client);
    return;
  }
  struct epoll_event interest = {.events = EPOLLOUT | EPOLLIN, .data.ptr = client};
  epoll_ctl(poller, EPOLL_CTL_ADD, client->fd, &interest);
}

static void took_ack(Client *client, char *text) {
  char *end;
  long id = strtol(text + 2, &end, 10);
  char *version = strstr(end, "\"version\":");
  int done = version && strstr(end, "\"ok\":true");
  if (!done) complain("refused", text);
  setup.acknowledged(client, id, done ? atol(version + 10) : 0);
}

/* An update or a patch ends in its offset, "<epoch>-<version>". */
static void took_update(Client *client) {
  char *dash = memrchr(client->tail, '-', client->tail_size);
  long version = dash ? atol(dash + 1) : 0;
  if (version <= client->version) return;
  setup.updated(client, version);
  client->version = version;
}

static void took_event(Client *client, const char *event) {
  if (!strncmp(event, "[\"session-update\"", 17)) {
    took_update(client);
  } else if (!strncmp(event, "[\"session-patch\"", 16)) {
    patches++;
    took_update(client);
  } else if (client->state == JOINING && !strncmp(event, "[\"joined-session\"", 17)) {
    client->state = JOINED;
    setup.joined(client);
  } else if (client->state == JOINING && !strncmp(event, "[\"error\"", 8)) {
    complain("join", event);
    drop(client);
  }
}

static void took_message(Client *client) {
  char *text = client->head, join[64];
  text[client->head_size] = 0;
  client->tail[client->tail_size] = 0;
  if (text[0] == '2') {
    send_text(client, "3");
  } else if (client->state == OPENING && text[0] == '0') {
    client->state = ENTERING;
    send_text(client, "40");
  } else if (client->state == ENTERING && !strncmp(text, "40", 2)) {
    client->state = JOINING;
    const char *options = setup.patches ? ",{\"patches\":true}" : "";
    snprintf(join, sizeof join, "42[\"join-session\",\"%s\"%s]", setup.codes[client->room], options);
    send_text(client, join);
  } else if (!strncmp(text, "43", 2)) {
    took_ack(client, text);
  } else if (!strncmp(text, "42", 2)) {
    took_event(client, text + 2);
  }
}

static void took_frame(Client *client) {
  if (client->is_deflated) {
    deflated_frames++;
    if (!setup.deflate || !inflate_message(client)) {
      complain("inflate", "not sound");
      drop(client);
      return;
    }
  }
  if (client->opcode == TEXT && client->size) {
    took_message(client);
  } else if (client->opcode == PING) {
    send_frame(client, PONG, client->head, client->size);
  } else if (client->opcode == CLOSE) {
    if (client->state != CLOSING) send_frame(client, CLOSE, client->head, client->size < 2 ? 0 : 2);
    drop(client);
  }
}

/* Whether the header is complete; the size of the payload is in its first bytes. */
static int took_header_byte(Client *client, unsigned char byte) {
  client->header[client->header_size++] = byte;
  if (client->header_size < 2) return 0;
  int kind = client->header[1] & 127, wanted = kind == 126 ? 4 : kind == 127 ? 10 : 2;
  if (client->header_size < wanted) return 0;
  long size = wanted == 2 ? kind : 0;
  for (int i = 2; i < wanted; i++) size = size << 8 | client->header[i];
  client->opcode = client->header[0] & 15;
  client->is_deflated = client->header[0] & DEFLATED;
  if (client->is_deflated) client->deflated = realloc(client->deflated, size);
  client->size = client->missing = size;
  client->header_size = client->head_size = client->tail_size = 0;
  return 1;
}

static void took_payload(Client *client, const char *bytes, long count) {
  if (client->is_deflated) {
    memcpy(client->deflated + client->size - client->missing, bytes, count);
    client->missing -= count;
    return;
  }
  if (client->head_size < HEAD) {
    long kept = count < HEAD - client->head_size ? count : HEAD - client->head_size;
    memcpy(client->head + client->head_size, bytes, kept);
    client->head_size += kept;
  }
  long kept = count >= TAIL ? 0 : client->tail_size + count > TAIL ? TAIL - count : client->tail_size;
  long added = count < TAIL ? count : TAIL;
  memmove(client->tail, client->tail + client->tail_size - kept, kept);
  memcpy(client->tail + kept, bytes + count - added, added);
  client->tail_size = kept + added;
  client->missing -= count;
}

static void took_bytes(Client *client, const char *bytes, long count) {
  while (count > 0 && client->state != CLOSED) {
    if (client->missing == 0) {
      int complete = took_header_byte(client, *bytes);
      bytes++;
      count--;
      if (complete && client->size == 0) took_frame(client);
      continue;
    }
    long taken = count < client->missing ? count : client->missing;
    took_payload(client, bytes, taken);
    bytes += taken;
    count -= taken;
    if (client->missing == 0) took_frame(client);
  }
}

/* Where the first frame begins in the answer to the handshake, or NULL. */
static char *upgraded(char *answer) {
  char *end = strstr(answer, "\r\n\r\n");
  if (!end || strncmp(answer, "HTTP/1.1 101", 12)) return NULL;
  *end = 0;
  return setup.deflate && !strstr(answer, "server_no_context_takeover") ? NULL : end + 4;
}

static void read_some(Client *client) {
  static char buffer[1 << 18];
  /* The middle of a large message is dropped by the kernel, uncopied. */
  int skips = client->missing > LARGE && client->head_size == HEAD;
  long wanted = skips ? client->missing - TAIL : (long)sizeof buffer - 1;
  long count = recv(client->fd, buffer, wanted, skips ? MSG_TRUNC : 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    drop(client);
    return;
  }
  if (skips) {
    received_bytes += count;
    client->missing -= count;
    client->tail_size = 0;
    return;
  }
  char *bytes = buffer;
  if (client->state == UPGRADING) {
    buffer[count] = 0;
    bytes = upgraded(buffer);
    if (!bytes) {
      if (strncmp(buffer, "HTTP/1.1 503", 12)) complain("upgrade", buffer);
      drop(client);
      return;
    }
    client->state = OPENING;
  }
  count -= bytes - buffer;
  received_bytes += count;
  took_bytes(client, bytes, count);
}

static void connected(Client *client) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) {
    complain("connect", strerror(error));
    drop(client);
    return;
  }
  struct epoll_event interest = {.events = EPOLLIN, .data.ptr = client};
  epoll_ctl(poller, EPOLL_CTL_MOD, client->fd, &interest);
  char request[512];
  snprintf(request, sizeof request, "%s%s\r\n", REQUEST, setup.deflate ? OFFER : "");
  send(client->fd, request, strlen(request), MSG_NOSIGNAL);
  client->state = UPGRADING;
}

void handle_events(int milliseconds) {
  struct epoll_event events[512];
  int count = epoll_wait(poller, events, 512, milliseconds);
  for (int i = 0; i < count; i++) {
    Client *client = events[i].data.ptr;
    if (client->state == CONNECTING) connected(client);
    else if (client->state != CLOSED) read_some(client);
  }
}
