/* A client of Socket.IO over WebSocket, many of which share one thread: see client.c. */
#pragma once

typedef enum { CONNECTING, UPGRADING, OPENING, ENTERING, JOINING, JOINED, CLOSING, CLOSED } State;

enum { HEAD = 400, TAIL = 64 };

typedef struct {
  int fd, room;
  int sends_only; /* is connected to the senders' port */
  State state;
  int is_unreachable; /* nothing listened when it tried last */
  double began;
  /* The frame that is being read: of large ones only the first and the last bytes are looked at. */
  unsigned char header[10];
  int header_size, opcode, head_size, tail_size;
  long size, missing;
  char head[HEAD + 1], tail[TAIL + 1];
  char *deflated; /* all of a compressed frame */
  int is_deflated;
  /* The newest version that was seen, and the round in which that was. */
  long version;
  int round;
  signed char *ratings;
} Client;

typedef struct {
  unsigned host; /* an IPv4 address; 0: loopback */
  int port, senders_port;
  int deflate; /* offer permessage-deflate, and insist on it */
  int patches; /* ask for patches */
  char (*codes)[16];
  void (*joined)(Client *);
  void (*updated)(Client *, long version);
  void (*acknowledged)(Client *, long id, long version); /* version: 0 where it was refused */
} Setup;

extern Setup setup;
extern int open_clients, failed_clients, lost_clients;
extern long received_bytes, deflated_frames, patches;

double now(void);
void start_polling(void);
void connect_client(Client *client, int room, int sends_only);
void close_client(Client *client); /* with a close frame, which the server answers */
void send_text(Client *client, const char *text);
void handle_events(int milliseconds);
